import type { Clock } from '../../src/support/clock.ts'

export interface ResettingBackoffOptions {
  /** First delay, milliseconds. */
  readonly baseMs: number
  /** Largest delay before jitter, milliseconds. */
  readonly capMs: number
  /** A delay is stretched by up to this share of itself. */
  readonly jitter: number
  /** This long without a failure, and the next delay is the first again. Milliseconds. */
  readonly resetAfterMs: number
}

/** client-go's reflector (tools/cache/reflector.go): 0.8 s doubling to 30 s, jitter 1.0, reset after 2 minutes. */
export const REFLECTOR_BACKOFF: ResettingBackoffOptions = {
  baseMs: 800,
  capMs: 30_000,
  jitter: 1,
  resetAfterMs: 120_000,
}

/**
 * Exponential back-off that forgets by time, not by success: a watch that opens and dies at once succeeds each time,
 * and resetting on success would hammer a struggling server at the first delay for ever.
 */
export class ResettingBackoff {
  readonly #options: ResettingBackoffOptions
  readonly #clock: Clock
  readonly #random: () => number
  #lastMs = 0
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(options: ResettingBackoffOptions, clock: Clock, random: () => number) {
    this.#options = options
    this.#clock = clock
    this.#random = random
  }

  /** Milliseconds to wait now. Each call counts as one more failure. */
  next(): number {
    const { baseMs, capMs, jitter, resetAfterMs } = this.#options
    const now = this.#clock.now()
    // The last delay itself was spent waiting: only the time after it counts as quiet.
    const quietMs = now - this.#askedAt - this.#lastMs
    this.#lastMs = quietMs > resetAfterMs || this.#lastMs === 0 ? baseMs : Math.min(capMs, this.#lastMs * 2)
    this.#askedAt = now
    return this.#lastMs * (1 + this.#random() * jitter)
  }
}
