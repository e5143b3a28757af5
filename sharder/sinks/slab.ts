/** A batch is sent when it has this many bytes, or after a moment. */
export const SLAB_BYTES = 256 * 1024

/** Slabs are a little larger than a batch, so that the event which completes one fits. */
const ROOM_BYTES = 16 * 1024

const LINE_END = Buffer.from('}\n')

/** What a slab knows of the session an event belongs to. */
export interface FeedMark {
  /** The sequence up to which the sink has confirmed. */
  acknowledged: number
}

/** Memory that events are gathered in, one line each, until they are sent and confirmed as one batch. */
export class Slab {
  #bytes: Buffer
  #length = 0
  #events = 0
  /** The last sequence of each session in it. */
  readonly #last = new Map<FeedMark, number>()
  #recent: FeedMark | undefined
  #recentSequence = 0
  /** A request with this memory was given up half-way: it is not used again, in case some of it is still on its way. */
  tainted = false

  constructor() {
    this.#bytes = Buffer.allocUnsafeSlow(SLAB_BYTES + ROOM_BYTES)
  }

  get events(): number {
    return this.#events
  }

  /** Memory that it takes, in bytes. */
  get size(): number {
    return this.#bytes.length
  }

  get full(): boolean {
    return this.#length >= SLAB_BYTES
  }

  get body(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Whether a payload of so many bytes, and what is written around it, fits. An empty slab grows to take any. */
  fits(bytes: number): boolean {
    return this.#length + bytes + LINE_END.length <= this.#bytes.length
  }

  /** Appends `prefix`, bytes [from, to) and the end of the line. */
  add(mark: FeedMark, prefix: Buffer, bytes: Buffer, from: number, to: number, sequence: number): void {
    const length = prefix.length + to - from
    if (!this.fits(length)) this.#bytes = Buffer.allocUnsafeSlow(length + LINE_END.length)
    let at = this.#length
    at += prefix.copy(this.#bytes, at)
    at += bytes.copy(this.#bytes, at, from, to)
    this.#bytes[at++] = 125
    this.#bytes[at++] = 10
    this.#length = at
    this.#events++
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
    this.#length = this.#events = 0
    this.#last.clear()
    this.#recent = undefined
    return !this.tainted && this.#bytes.length === SLAB_BYTES + ROOM_BYTES
  }

  /** Events come in runs of one shard: the map is touched once a run. */
  #remember(mark: FeedMark): void {
    if (this.#recent) this.#last.set(this.#recent, this.#recentSequence)
    this.#recent = mark
  }
}
