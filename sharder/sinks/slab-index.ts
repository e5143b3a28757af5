import type { FeedMark } from './feed-mark.ts'

/** The most events of one slab that is indexed. */
const MOST_EVENTS = 2_048

/** Where each event of a slab is and what it is called: for sinks that send them one by one. */
export class SlabIndex {
  /** Memory that one takes, in bytes, about. */
  static readonly BYTES = MOST_EVENTS * 25

  readonly #ends = new Uint32Array(MOST_EVENTS)
  readonly #sequences = new Float64Array(MOST_EVENTS)
  readonly #types = new Uint16Array(MOST_EVENTS)
  readonly #partitions = new Uint16Array(MOST_EVENTS)
  readonly #confirmed = new Uint8Array(MOST_EVENTS)
  readonly #marks: FeedMark[] = []
  #confirmations = 0

  get length(): number {
    return this.#marks.length
  }

  get full(): boolean {
    return this.#marks.length >= MOST_EVENTS
  }

  /** How many events were confirmed: it grows while the sink takes anything. */
  get confirmations(): number {
    return this.#confirmations
  }

  /** `end`: where its line ends, the line feed included. */
  add(mark: FeedMark, end: number, sequence: number, type: number, partition: number): void {
    const i = this.#marks.push(mark) - 1
    this.#ends[i] = end
    this.#sequences[i] = sequence
    this.#types[i] = type
    this.#partitions[i] = partition
    this.#confirmed[i] = 0
  }

  start(i: number): number {
    return i === 0 ? 0 : (this.#ends[i - 1] as number)
  }

  /** Where its JSON ends: before the line feed. */
  end(i: number): number {
    return (this.#ends[i] as number) - 1
  }

  mark(i: number): FeedMark {
    return this.#marks[i] as FeedMark
  }

  sequence(i: number): number {
    return this.#sequences[i] as number
  }

  type(i: number): number {
    return this.#types[i] as number
  }

  partition(i: number): number {
    return this.#partitions[i] as number
  }

  isConfirmed(i: number): boolean {
    return this.#confirmed[i] === 1
  }

  confirm(i: number): void {
    this.#confirmed[i] = 1
    this.#confirmations++
  }

  reset(): void {
    this.#marks.length = 0
    this.#confirmations = 0
  }
}
