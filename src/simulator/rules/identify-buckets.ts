/** What Discord made of one IDENTIFY, as far as max_concurrency goes. */
export type BucketDecision =
  | { readonly granted: true; readonly bucket: number }
  /** Too early: `earlyByMs` milliseconds before the bucket was free, which `heldBy` took. */
  | { readonly granted: false; readonly bucket: number; readonly earlyByMs: number; readonly heldBy: number }

interface Held {
  readonly shardId: number
  readonly at: number
}

/**
 * Discord's identify rule: the key is `shard_id % max_concurrency`, and each key takes one IDENTIFY per window
 * (5 seconds). A refused IDENTIFY does not move the window: it counts from the last one that was taken.
 */
export class IdentifyBuckets {
  readonly #windowMs: number
  #maxConcurrency: number
  #held = new Map<number, Held>()

  constructor(options: { readonly maxConcurrency: number; readonly windowMs: number }) {
    this.#maxConcurrency = options.maxConcurrency
    this.#windowMs = options.windowMs
  }

  get maxConcurrency(): number {
    return this.#maxConcurrency
  }

  /** Changes the number of keys while running. What was taken in the last window still counts, under its new key. */
  setMaxConcurrency(maxConcurrency: number): void {
    this.#maxConcurrency = maxConcurrency
    const held = [...this.#held.values()].sort((a, b) => a.at - b.at)
    this.#held = new Map(held.map((entry) => [entry.shardId % maxConcurrency, entry]))
  }

  /**
   * Takes the bucket of `shardId` at `now` (milliseconds of a monotonic clock), or says why not. `arrived`: when the
   * IDENTIFY may have come at the earliest, where it could not be read at once; what is not certainly too early is not.
   */
  take(shardId: number, now: number, arrived = now): BucketDecision {
    const bucket = shardId % this.#maxConcurrency
    const held = this.#held.get(bucket)
    const earlyByMs = held === undefined ? 0 : held.at + this.#windowMs - now
    if (held !== undefined && earlyByMs > 0) return { granted: false, bucket, earlyByMs, heldBy: held.shardId }
    this.#held.set(bucket, { shardId, at: arrived })
    return { granted: true, bucket }
  }
}
