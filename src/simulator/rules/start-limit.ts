/** The `session_start_limit` of Get Gateway Bot without `max_concurrency`; `resetAfter` in milliseconds. */
export interface StartLimitState {
  readonly total: number
  readonly remaining: number
  readonly resetAfter: number
}

/**
 * The session start limit: `total` IDENTIFYs in 24 hours over all shards, RESUME not counted. The day begins with
 * its first IDENTIFY; until then nothing is spent and `resetAfter` is 0, as Discord shows it.
 */
export class SessionStartLimit {
  readonly #total: number
  readonly #windowMs: number
  #spent = 0
  #endsAt: number | undefined

  constructor(options: { readonly total: number; readonly windowMs: number }) {
    this.#total = options.total
    this.#windowMs = options.windowMs
  }

  state(now: number): StartLimitState {
    this.#roll(now)
    const resetAfter = this.#endsAt === undefined ? 0 : Math.ceil(this.#endsAt - now)
    return { total: this.#total, remaining: Math.max(0, this.#total - this.#spent), resetAfter }
  }

  /** Spends one. False when there was none left: Discord then resets the token and ends every session. */
  spend(now: number): boolean {
    this.#roll(now)
    this.#endsAt ??= now + this.#windowMs
    if (this.#spent >= this.#total) return false
    this.#spent += 1
    return true
  }

  /** Makes `remaining` what is left of the current day; for tests of a nearly empty budget. */
  setRemaining(remaining: number, now: number): void {
    this.#roll(now)
    this.#spent = Math.max(0, this.#total - remaining)
    this.#endsAt ??= now + this.#windowMs
  }

  #roll(now: number): void {
    if (this.#endsAt === undefined || now < this.#endsAt) return
    this.#spent = 0
    this.#endsAt = undefined
  }
}
