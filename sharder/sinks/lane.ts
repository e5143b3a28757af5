import type { Clock } from '../../src/support/clock.ts'
import type { FeedMark } from './feed-mark.ts'
import type { Arrival, Slab } from './slab.ts'
import type { SlabPool } from './slab-pool.ts'

export interface LaneOptions {
  readonly clock: Clock
  readonly slabs: SlabPool
  /** Resolves when the sink has confirmed the slab, however long that takes; rejects only when the sink is closed. */
  readonly deliver: (slab: Slab) => Promise<void>
  /** It has something to send, and wants due() to be called in a moment. */
  readonly onStarted: () => void
  /** The number of bytes or events that wait has changed by so much. */
  readonly onHeld: (bytes: number, events: number) => void
}

/** Some of a sink's shards: their events leave in order, one batch in flight at a time. */
export class Lane {
  readonly #options: LaneOptions
  readonly #waiting: Slab[] = []
  #open: Slab | undefined
  #sending = false
  #due = false
  #idle: (() => void)[] = []

  constructor(options: LaneOptions) {
    this.#options = options
  }

  add(mark: FeedMark, arrival: Arrival): void {
    let slab = this.#open
    if (slab !== undefined && !slab.fits(mark.prefix.length + arrival.to - arrival.from)) {
      this.#seal()
      slab = undefined
    }
    if (slab === undefined) slab = this.#start()
    const { size } = slab
    slab.add(mark, arrival)
    // A payload larger than a slab made it grow.
    this.#options.onHeld(slab.size - size, 1)
    if (slab.full) this.#seal()
  }

  /** What was gathered leaves now, or when the batch in flight is confirmed: until then it may as well grow. */
  due(): void {
    if (this.#sending) this.#due = this.#open !== undefined
    else this.#seal()
  }

  /** Resolves when nothing waits any more. */
  async flushed(): Promise<void> {
    this.#seal()
    while (this.#sending || this.#waiting.length > 0 || this.#open !== undefined) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
  }

  #start(): Slab {
    const slab = this.#options.slabs.take()
    slab.startedAt = this.#options.clock.now()
    this.#open = slab
    this.#options.onHeld(slab.size, 0)
    this.#options.onStarted()
    return slab
  }

  #seal(): void {
    if (this.#open === undefined) return
    this.#waiting.push(this.#open)
    this.#open = undefined
    this.#due = false
    if (!this.#sending) void this.#send()
  }

  async #send(): Promise<void> {
    this.#sending = true
    try {
      for (let slab = this.#waiting.shift(); slab !== undefined; slab = this.#next()) {
        await this.#options.deliver(slab)
        slab.acknowledge()
        this.#options.onHeld(-slab.size, -slab.events)
        this.#options.slabs.give(slab)
      }
    } catch {
      // The sink is closed.
    }
    this.#sending = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #next(): Slab | undefined {
    if (this.#waiting.length === 0 && this.#due) this.#seal()
    return this.#waiting.shift()
  }
}
