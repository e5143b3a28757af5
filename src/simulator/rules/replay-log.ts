/** One dispatch as it is kept for a RESUME: enough to render the very same payload again. */
export interface DispatchRecord {
  /** What it is; the meaning of the number belongs to the renderer. */
  readonly kind: number
  /** The shard's own counter over all its sessions; 0 for what is not counted (READY, RESUMED). */
  readonly n: number
  /** Wall-clock milliseconds at which it was generated. */
  readonly at: number
}

const FIRST_CAPACITY = 16

/**
 * The last `capacity` dispatches of one session. The sequence is implicit: the i-th append is `s = i`. Columns of
 * numbers instead of objects, because 5,000 sessions with 2,000 payloads each would otherwise be gigabytes.
 */
export class ReplayLog {
  readonly #capacity: number
  #kinds = new Uint32Array(FIRST_CAPACITY)
  #ns = new Uint32Array(FIRST_CAPACITY)
  #ats = new Float64Array(FIRST_CAPACITY)
  #last = 0

  /** `capacity`: how many dispatches can be replayed, at least 1. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** The sequence of the newest dispatch; 0 before the first. */
  get last(): number {
    return this.#last
  }

  /** The sequence of the oldest dispatch that can still be replayed; `last + 1` when there is none. */
  get first(): number {
    return Math.max(1, this.#last - this.#capacity + 1)
  }

  /** Appends a dispatch and returns its sequence. The oldest is forgotten when the log is full. */
  append(kind: number, n: number, at: number): number {
    if (this.#last === this.#kinds.length && this.#last < this.#capacity) this.#grow()
    const slot = this.#last % this.#kinds.length
    this.#kinds[slot] = kind
    this.#ns[slot] = n
    this.#ats[slot] = at
    this.#last += 1
    return this.#last
  }

  /** The dispatch with sequence `s`. Throws a RangeError when it is forgotten or does not exist yet. */
  at(s: number): DispatchRecord {
    if (s < this.first || s > this.#last) throw new RangeError(`sequence ${s} is outside ${this.first}..${this.#last}`)
    const slot = (s - 1) % this.#kinds.length
    return { kind: this.#kinds[slot] ?? 0, n: this.#ns[slot] ?? 0, at: this.#ats[slot] ?? 0 }
  }

  /** Doubles up to the capacity. Only while nothing has wrapped, so that every slot keeps its sequence. */
  #grow(): void {
    const size = Math.min(this.#capacity, this.#kinds.length * 2)
    const [kinds, ns, ats] = [new Uint32Array(size), new Uint32Array(size), new Float64Array(size)]
    kinds.set(this.#kinds)
    ns.set(this.#ns)
    ats.set(this.#ats)
    this.#kinds = kinds
    this.#ns = ns
    this.#ats = ats
  }
}
