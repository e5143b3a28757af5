import type { Clock } from './clock.ts'

export interface TokenBucketsOptions {
  readonly clock: Clock
  /** Tokens that come back a second, to each key. */
  readonly perSecond: number
  /** Tokens of a full bucket. */
  readonly burst: number
  /** Buckets remembered; beyond it the one that was asked least lately is full again. */
  readonly kept: number
}

interface Bucket {
  readonly tokens: number
  /** When it had so many, on the injected clock. */
  readonly at: number
}

/** A token bucket for each key. A key that is not remembered has a full one. */
export class TokenBuckets {
  readonly #options: TokenBucketsOptions
  /** By when they were asked last. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: TokenBucketsOptions) {
    this.#options = options
  }

  /** Takes `cost` tokens (0 to burst). @returns 0: taken; else nothing was taken, and in how many milliseconds it can be. */
  take(key: string, cost = 1): number {
    const { perSecond } = this.#options
    const tokens = this.#tokensOf(key)
    const lacking = cost - tokens
    // After exactly the time that was named, a sum of fractions may be a hair short.
    if (lacking <= 1e-6) {
      this.#keep(key, Math.max(0, -lacking))
      return 0
    }
    this.#keep(key, tokens)
    return Math.ceil((lacking / perSecond) * 1_000)
  }

  /** Puts back what was taken. */
  giveBack(key: string, cost = 1): void {
    this.#keep(key, Math.min(this.#options.burst, this.#tokensOf(key) + cost))
  }

  #tokensOf(key: string): number {
    const { burst, perSecond, clock } = this.#options
    const bucket = this.#buckets.get(key)
    if (!bucket) return burst
    return Math.min(burst, bucket.tokens + ((clock.now() - bucket.at) / 1_000) * perSecond)
  }

  #keep(key: string, tokens: number): void {
    const [oldest] = this.#buckets.keys()
    if (!this.#buckets.delete(key) && oldest !== undefined && this.#buckets.size >= this.#options.kept)
      this.#buckets.delete(oldest)
    this.#buckets.set(key, { tokens, at: this.#options.clock.now() })
  }
}
