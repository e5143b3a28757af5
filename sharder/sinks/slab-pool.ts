import type { Cancel, Clock } from '../../src/support/clock.ts'
import { Slab } from './slab.ts'

/** Empty slabs that are kept for ever: one for each lane. */
const KEPT = 4
/**
 * Others go when they were not needed for so long, in milliseconds. Not sooner: what goes is free with V8's next
 * mark-sweep only, and what is made anew meanwhile brings that on, just when the sink is behind.
 */
const IDLE_MS = 10_000

/**
 * The slabs of one sink. They go round: a burst outruns the sink, and memory that is new for each batch is a mark-sweep
 * every few megabytes and a page fault every 4 KB, together a third of what an event costs. There are never more than
 * were in use at one time, which the sink bounds.
 */
export class SlabPool {
  readonly #clock: Clock
  readonly #indexed: boolean
  readonly #spare: Slab[] = []
  /** The fewest spare slabs since the last look: so many were not needed. */
  #fewest = 0
  #cancelLook: Cancel | undefined

  /** `indexed`: its slabs know where each event is. */
  constructor(clock: Clock, indexed: boolean) {
    this.#clock = clock
    this.#indexed = indexed
  }

  take(): Slab {
    const slab = this.#spare.pop()
    if (this.#spare.length < this.#fewest) this.#fewest = this.#spare.length
    return slab ?? new Slab(this.#indexed)
  }

  /** Takes one back that nobody uses any more. */
  give(slab: Slab): void {
    if (!slab.reset()) return
    this.#spare.push(slab)
    if (this.#spare.length > KEPT && this.#cancelLook === undefined) this.#lookLater()
  }

  close(): void {
    this.#cancelLook?.()
  }

  #lookLater(): void {
    this.#fewest = this.#spare.length
    this.#cancelLook = this.#clock.after(IDLE_MS, () => {
      this.#cancelLook = undefined
      this.#spare.length = Math.max(KEPT, this.#spare.length - this.#fewest)
      if (this.#spare.length > KEPT) this.#lookLater()
    })
  }
}
