import type { FeedMark } from './feed-mark.ts'
import { SlabIndex } from './slab-index.ts'

/** A batch is sent when it has this many bytes, or after a moment. */
export const SLAB_BYTES = 256 * 1024

/** Slabs are a little larger than a batch, so that the event which completes one fits. */
const ROOM_BYTES = 16 * 1024

const LINE_END = Buffer.from('}\n')

/** An event on its way into a slab: the payload in `bytes` [from, to). */
export interface Arrival {
  bytes: Buffer
  from: number
  to: number
  sequence: number
  /** Its number in `EventNames`, and its partition; of slabs with an index only. */
  type: number
  partition: number
}

/** Memory that events are gathered in, one line each, until they are sent and confirmed as one batch. */
export class Slab {
  #bytes: Buffer
  #length = 0
  #events = 0
  #confirmedBytes = 0
  /** The last sequence of each session in it. */
  readonly #last = new Map<FeedMark, number>()
  #recent: FeedMark | undefined
  #recentSequence = 0
  /** A request with this memory was given up half-way: it is not used again, in case some of it is still on its way. */
  tainted = false
  /** When its first event came, on the clock of its lane. */
  startedAt = 0
  /** Where each event is, if its sink asks. */
  readonly index: SlabIndex | undefined

  constructor(indexed: boolean) {
    this.#bytes = Buffer.allocUnsafeSlow(SLAB_BYTES + ROOM_BYTES)
    this.index = indexed ? new SlabIndex() : undefined
  }

  get events(): number {
    return this.#events
  }

  /** Memory that it takes, in bytes. */
  get size(): number {
    return this.#bytes.length + (this.index ? SlabIndex.BYTES : 0)
  }

  get full(): boolean {
    return this.#length >= SLAB_BYTES || this.index?.full === true
  }

  /** The lines that are not confirmed yet. */
  get body(): Buffer {
    return this.#bytes.subarray(this.#confirmedBytes, this.#length)
  }

  /** The first `bytes` of the body were confirmed. */
  confirmBytes(bytes: number): void {
    this.#confirmedBytes += bytes
  }

  /** The JSON of an event, of slabs with an index only. */
  event(i: number): Buffer {
    const { index } = this
    return index === undefined ? this.body : this.#bytes.subarray(index.start(i), index.end(i))
  }

  /** Whether a payload of so many bytes, and what is written around it, fits. An empty slab grows to take any. */
  fits(bytes: number): boolean {
    return this.#length + bytes + LINE_END.length <= this.#bytes.length
  }

  /** Appends the prefix of `mark`, the payload and the end of the line. */
  add(mark: FeedMark, { bytes, from, to, sequence, type, partition }: Arrival): void {
    const { prefix } = mark
    const length = prefix.length + to - from
    if (!this.fits(length)) this.#bytes = Buffer.allocUnsafeSlow(length + LINE_END.length)
    let at = this.#length
    at += prefix.copy(this.#bytes, at)
    at += bytes.copy(this.#bytes, at, from, to)
    this.#bytes[at++] = 125
    this.#bytes[at++] = 10
    this.#length = at
    this.#events++
    this.index?.add(mark, at, sequence, type, partition)
    if (mark !== this.#recent) this.#remember(mark)
    this.#recentSequence = sequence
  }

  /** The sink confirmed all of it. */
  acknowledge(): void {
    if (this.#recent) this.#last.set(this.#recent, this.#recentSequence)
    for (const [mark, sequence] of this.#last) mark.acknowledged = Math.max(mark.acknowledged, sequence)
  }

  /** Empty again. @returns false when its memory must not be used again. */
  reset(): boolean {
    this.#length = this.#events = this.#confirmedBytes = 0
    this.#last.clear()
    this.#recent = undefined
    this.index?.reset()
    return !this.tainted && this.#bytes.length === SLAB_BYTES + ROOM_BYTES
  }

  /** Events come in runs of one shard: the map is touched once a run. */
  #remember(mark: FeedMark): void {
    if (this.#recent) this.#last.set(this.#recent, this.#recentSequence)
    this.#recent = mark
  }
}
