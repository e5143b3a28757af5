import type { Clock } from '../support/clock.ts'
import type { MembersRequest } from './schemas.ts'

/** Discord's window for one request of all members of a guild, and a second for the network; in milliseconds. */
export const MEMBERS_WINDOW_MS = 31_000

/** Whether everybody in the guild is asked for. */
export const asksForAll = ({ query, limit = 0, user_ids }: MembersRequest): boolean =>
  user_ids === undefined && (query ?? '') === '' && limit === 0

/** A request that was let through. */
export interface Taken {
  /** It was sent, or may have been: the window begins. */
  sent(): void
  /** It was certainly not sent. */
  giveBack(): void
}

/**
 * All members of a guild are requested once in 30 s at most, by one bot:
 * https://discord.com/developers/docs/events/gateway-events#request-guild-members
 * A new process starts from nothing; what it lets through too early Discord answers with the event RATE_LIMITED.
 */
export class MembersLimit {
  readonly #clock: Clock
  /** When the next may follow, by bot and guild, in about the order in which they end. */
  readonly #freeAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Takes the guild for a request that is sent within `withinMs`, or says how long the guild is limited yet; both in
   * milliseconds.
   */
  take(bot: string, guildId: string, withinMs: number): Taken | number {
    const now = this.#clock.now()
    this.#forget(now)
    const key = `${bot}/${guildId}`
    const waitMs = (this.#freeAt.get(key) ?? now) - now
    if (waitMs > 0) return waitMs
    this.#freeAt.set(key, now + withinMs + MEMBERS_WINDOW_MS)
    return {
      sent: () => {
        this.#freeAt.delete(key)
        this.#freeAt.set(key, this.#clock.now() + MEMBERS_WINDOW_MS)
      },
      giveBack: () => this.#freeAt.delete(key),
    }
  }

  #forget(now: number): void {
    for (const [key, freeAt] of this.#freeAt) {
      if (freeAt > now) return
      this.#freeAt.delete(key)
    }
  }
}
