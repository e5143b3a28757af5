import type { Cancel, Clock } from '../../src/support/clock.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly action: () => void
  cancelled: boolean
}

/**
 * A clock that moves only when told, in a fixed order: timers fire by time and, at the same time, in the order in
 * which they were set; all promises settle between two of them. Its wall clock moves along but may be set to lie.
 */
export class VirtualClock implements Clock {
  /** A binary heap; cancelled timers stay in it until their time comes. */
  readonly #heap: Timer[] = []
  #pending = 0
  #now = 0
  #order = 0
  #wall: number

  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = wall
  }

  now(): number {
    return this.#now
  }

  date(): Date {
    return new Date(this.#wall + this.#now)
  }

  after(milliseconds: number, action: () => void): Cancel {
    const timer = { at: this.#now + Math.max(0, milliseconds), order: this.#order++, action, cancelled: false }
    this.#push(timer)
    this.#pending++
    return () => {
      if (timer.cancelled) return
      timer.cancelled = true
      this.#pending--
    }
  }

  /** Timers that have not fired and were not cancelled. */
  get pending(): number {
    return this.#pending
  }

  setWall(wall: number): void {
    this.#wall = wall - this.#now
  }

  /** Moves on by `milliseconds`, firing what is due in order and letting promises settle after each timer. */
  async advance(milliseconds: number): Promise<void> {
    await this.runUntil(() => false, milliseconds)
  }

  /**
   * Moves on until `predicate` holds, which is asked after each timer, or until `limit` milliseconds have passed.
   * @returns whether it holds.
   */
  async runUntil(predicate: () => boolean, limit: number): Promise<boolean> {
    const until = this.#now + limit
    await settled()
    while (!predicate()) {
      const next = this.#take(until)
      if (!next) {
        this.#now = until
        return predicate()
      }
      this.#now = next.at
      next.action()
      await settled()
    }
    return true
  }

  /** The next timer that is due by `until`, taken out. */
  #take(until: number): Timer | undefined {
    for (let first = this.#heap[0]; first && first.at <= until; first = this.#heap[0]) {
      this.#pop()
      if (first.cancelled) continue
      first.cancelled = true
      this.#pending--
      return first
    }
    return undefined
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let i = heap.push(timer) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = heap[parent] as Timer
      if (!isBefore(timer, above)) break
      heap[i] = above
      i = parent
    }
    heap[i] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left && right && isBefore(right, left)) child++
      const below = heap[child]
      if (!below || !isBefore(below, last)) break
      heap[i] = below
      i = child
    }
    heap[i] = last
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** One turn of the event loop: every promise that can settle has settled after it. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
