/** How often the loop says that it is alive, in milliseconds: the most by which an arrival is uncertain on an idle machine. */
const TICK_MS = 2

/**
 * When a message may have arrived at the earliest. A message that is read after the loop stood still (another socket's
 * work, a machine with more to do than cores) came some time during the standstill; judging it by the time it was read
 * would make the next one, which is read in time, look too early. Discord's servers are not one busy event loop.
 */
export class ArrivalWatch {
  readonly #timer: NodeJS.Timeout
  readonly #now: () => number
  #alive: number

  constructor(now: () => number) {
    this.#now = now
    this.#alive = now()
    this.#timer = setInterval(() => {
      this.#alive = now()
    }, TICK_MS).unref()
  }

  /** A message read now arrived at this time or later (milliseconds of the clock). */
  earliest(): number {
    return Math.min(this.#alive, this.#now())
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
