import { createHash } from 'node:crypto'

/** A payload's digest: megabytes of text are not kept. */
export const digest = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('base64')

/** What was sent to one shard, as it must reach the bot. */
export class SentEvents {
  /** By sequence. What is sent once more replaces what was sent before: it had not been read. */
  readonly #bySequence = new Map<number, string>()
  readonly #extras = new Set<string>()
  #last = 0

  /** The highest sequence. */
  get last(): number {
    return this.#last
  }

  sent(sequence: number, bytes: Buffer): void {
    this.#bySequence.set(sequence, digest(bytes))
    this.#last = Math.max(this.#last, sequence)
  }

  extra(bytes: Buffer): void {
    this.#extras.add(digest(bytes))
  }

  /** Whether everything is among what was received. */
  allIn(received: ReadonlySet<string>): boolean {
    return received.has(this.#bySequence.get(this.#last) ?? '') && [...this.#extras].every((each) => received.has(each))
  }

  /** What is wrong with what was received, in this order; nothing, if each came once, in order and as it was sent. */
  faults(received: readonly string[]): string[] {
    const sequences = new Map([...this.#bySequence].map(([sequence, key]) => [key, sequence]))
    const faults: string[] = []
    const extras = new Set<string>()
    let next = 1
    for (const key of received) {
      const sequence = sequences.get(key)
      if (this.#extras.has(key) && !extras.has(key)) extras.add(key)
      else if (sequence === next) next++
      else faults.push(sequence === undefined ? `what was not sent, before ${next}` : `${sequence} in place of ${next}`)
    }
    if (next <= this.#last) faults.push(`nothing from ${next} to ${this.#last}`)
    if (extras.size < this.#extras.size) faults.push(`${this.#extras.size - extras.size} extra events are missing`)
    return faults
  }
}
