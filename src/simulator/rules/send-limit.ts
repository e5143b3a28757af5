/**
 * The gateway's send limit: at most `limit` payloads per window (120 per 60 seconds) on one connection, heartbeats
 * included. The window starts with its first payload. Two numbers and no timer, because there are 5,000 of these.
 */
export class SendLimit {
  readonly #limit: number
  readonly #windowMs: number
  #startedAt = Number.NEGATIVE_INFINITY
  #count = 0

  constructor(limit: number, windowMs: number) {
    this.#limit = limit
    this.#windowMs = windowMs
  }

  /** Counts one payload at `now`; false when it is one too many, and Discord would close with 4008. */
  take(now: number): boolean {
    if (now - this.#startedAt >= this.#windowMs) {
      this.#startedAt = now
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= this.#limit
  }
}
