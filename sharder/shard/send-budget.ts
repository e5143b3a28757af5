/** Discord's send limit of a connection: https://discord.com/developers/docs/events/gateway#rate-limiting */
const SENDS_PER_WINDOW = 120

/** Heartbeats are two at most in the window where the timer says one: discordeno keeps the same reserve. */
const PER_HEARTBEAT = 2

/**
 * What a bot may send in one window of `windowMs`, so that heartbeats, and the RESUME of a connection that is new, still
 * fit. Never 0: a gateway with very short intervals (only a simulated one) must not stop everything.
 */
export function sendsPerWindow(windowMs: number, heartbeatInterval: number): number {
  return Math.max(1, SENDS_PER_WINDOW - PER_HEARTBEAT * Math.ceil(windowMs / Math.max(1, heartbeatInterval)))
}

/**
 * The send limit of one shard as a sliding window: the moments of the last sends. Discord does not say where its windows
 * begin, and in no window whatever can there be more than in the fullest sliding one. Moments are milliseconds on one
 * clock, never going back. It outlives connections: a new one could send more, but not its RESUME and what waited at once.
 */
export class SendBudget {
  readonly #windowMs: number
  #sentAt: number[] = []

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** When the send that has `ahead` others before it may leave, at the soonest, if each of them leaves when it may. */
  freeAt(now: number, capacity: number, ahead: number): number {
    this.#forget(now)
    const before = this.#sentAt.length + ahead - capacity
    if (before < 0) return now
    const moment = this.#sentAt[before] ?? this.freeAt(now, capacity, before - this.#sentAt.length)
    return Math.max(now, moment + this.#windowMs)
  }

  /** One left at `now`. */
  spend(now: number): void {
    this.#sentAt.push(now)
  }

  #forget(now: number): void {
    const kept = this.#sentAt.findIndex((at) => at + this.#windowMs > now)
    if (kept !== 0) this.#sentAt = kept < 0 ? [] : this.#sentAt.slice(kept)
  }
}
