import { head, headType } from '../shard/payload-head.ts'

/** Discord has about 80; beyond so many they share one name: nobody but Discord should be able to use up memory. */
const MOST_NAMES = 1_000

/** Numbers for the names of events, so that a slab keeps two bytes for each. */
export class EventNames {
  readonly #numbers = new Map<number, number>()
  readonly #names = ['OTHER']

  /** The number of the event whose head was read last, from `bytes`. */
  number(bytes: Buffer): number {
    return this.#numbers.get(head.type) ?? this.#first(bytes)
  }

  name(number: number): string {
    return this.#names[number] ?? 'OTHER'
  }

  #first(bytes: Buffer): number {
    if (this.#names.length >= MOST_NAMES) return 0
    // Subjects and routing keys have characters that mean something; names of events have none of them.
    const number = this.#names.push(headType(bytes).replace(/\W/g, '_') || 'OTHER') - 1
    this.#numbers.set(head.type, number)
    return number
  }
}
