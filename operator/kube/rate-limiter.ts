import type { Clock } from '../../src/support/clock.ts'

export interface RateLimiterOptions {
  /** Delay after a key's first failure; doubles with each further one. Milliseconds. */
  readonly baseMs: number
  /** Longest delay of a key. Milliseconds. */
  readonly capMs: number
  /** Retries a second, all keys together, once the burst is spent. */
  readonly ratePerSecond: number
  /** Retries that need not wait for the rate. */
  readonly burst: number
}

/** client-go's default controller rate limiter, but capped at 5 minutes, not 1,000 s: a user waits for what is retried. */
export const RETRY_LIMITS: RateLimiterOptions = { baseMs: 5, capMs: 300_000, ratePerSecond: 10, burst: 100 }

/** How long a failed key waits: the longer of its own exponential back-off and its turn in the shared token bucket. */
export class RateLimiter {
  readonly #options: RateLimiterOptions
  readonly #clock: Clock
  readonly #failures = new Map<string, number>()
  #tokens: number
  #filledAt: number

  constructor(clock: Clock, options: RateLimiterOptions = RETRY_LIMITS) {
    this.#clock = clock
    this.#options = options
    this.#tokens = options.burst
    this.#filledAt = clock.now()
  }

  /** Counts one more failure of the key; milliseconds until it should be tried again. */
  delay(key: string): number {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    const { baseMs, capMs } = this.#options
    return Math.max(Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 40)), this.#reserve())
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }

  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** Takes a token now, on credit if there is none; milliseconds until it is really there. */
  #reserve(): number {
    const { ratePerSecond, burst } = this.#options
    const now = this.#clock.now()
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1_000) * ratePerSecond) - 1
    this.#filledAt = now
    return this.#tokens >= 0 ? 0 : (-this.#tokens / ratePerSecond) * 1_000
  }
}
