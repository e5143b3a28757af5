import type { Clock } from '../support/clock.ts'
import type { MembersRequest } from './schemas.ts'

/** Discord's window for one request of all members of a guild, and a second for the network; in milliseconds. */
export const MEMBERS_WINDOW_MS = 31_000

/** Whether everybody in the guild is asked for. */
export const asksForAll = ({ query, limit = 0, user_ids }: MembersRequest): boolean =>
  user_ids === undefined && (query ?? '') === '' && limit === 0

/**
 * All members of a guild are requested once in 30 s at most, by one bot:
 * https://discord.com/developers/docs/events/gateway-events#request-guild-members
 * A new process starts from nothing; what it lets through too early Discord answers with the event RATE_LIMITED.
 */
export class MembersLimit {
  readonly #clock: Clock
  /** By bot and guild, in the order in which they were taken. */
  readonly #takenAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** 0: taken; otherwise how long the guild is limited yet, in milliseconds. */
  take(bot: string, guildId: string): number {
    const now = this.#clock.now()
    for (const [guild, at] of this.#takenAt) {
      if (now - at < MEMBERS_WINDOW_MS) break
      this.#takenAt.delete(guild)
    }
    const key = `${bot}/${guildId}`
    const at = this.#takenAt.get(key)
    if (at !== undefined) return at + MEMBERS_WINDOW_MS - now
    this.#takenAt.set(key, now)
    return 0
  }

  /** What was taken was certainly not sent. */
  giveBack(bot: string, guildId: string): void {
    this.#takenAt.delete(`${bot}/${guildId}`)
  }
}
