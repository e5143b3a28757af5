/** What of a Request Guild Members says whether it asks for everybody. */
export interface MembersRequest {
  readonly query?: string | undefined
  readonly limit?: number | undefined
  readonly user_ids?: string | string[] | undefined
}

/**
 * All members of a guild may be asked for once in `windowMs` (30 s) by one bot; a request too many is answered with
 * RATE_LIMITED. https://discord.com/developers/docs/events/gateway-events#request-guild-members
 */
export class MembersLimit {
  readonly #windowMs: number
  readonly #takenAt = new Map<string, number>()

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** 0: the request is answered; else milliseconds until the next one would be. */
  take(guildId: string, { query = '', limit = 0, user_ids }: MembersRequest, now: number): number {
    if (query !== '' || limit !== 0 || user_ids !== undefined) return 0
    const left = (this.#takenAt.get(guildId) ?? Number.NEGATIVE_INFINITY) + this.#windowMs - now
    if (left > 0) return left
    this.#takenAt.set(guildId, now)
    return 0
  }
}
