/** The gateway's close codes (Discord docs, "Gateway Close Event Codes"). */
export const CloseCode = {
  UnknownError: 4000,
  UnknownOpcode: 4001,
  DecodeError: 4002,
  NotAuthenticated: 4003,
  AuthenticationFailed: 4004,
  AlreadyAuthenticated: 4005,
  InvalidSequence: 4007,
  RateLimited: 4008,
  SessionTimedOut: 4009,
  InvalidShard: 4010,
  ShardingRequired: 4011,
  InvalidVersion: 4012,
  InvalidIntents: 4013,
  DisallowedIntents: 4014,
} as const

/** The words Discord sends with each code. */
export const CLOSE_REASONS: Readonly<Record<number, string>> = {
  4000: 'Unknown error.',
  4001: 'Unknown opcode.',
  4002: 'Error while decoding payload.',
  4003: 'Not authenticated.',
  4004: 'Authentication failed.',
  4005: 'Already authenticated.',
  4007: 'Invalid seq.',
  4008: 'Rate limited.',
  4009: 'Session timed out.',
  4010: 'Invalid shard.',
  4011: 'Sharding required.',
  4012: 'Invalid API version.',
  4013: 'Invalid intent(s).',
  4014: 'Disallowed intent(s).',
}

/** Closing with one of these, the client says it will not come back: the session ends at once. */
const CLIENT_ENDS_SESSION: ReadonlySet<number> = new Set([1000, 1001])

/** Closed with one of these, a new session is needed (4007, 4009) or none will help (4004 and 4010 to 4014). */
const SERVER_ENDS_SESSION: ReadonlySet<number> = new Set([4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014])

/** Whether a session is over after its connection closed with `code`, sent by the client or by Discord. */
export function endsSession(code: number, by: 'client' | 'discord'): boolean {
  return (by === 'client' ? CLIENT_ENDS_SESSION : SERVER_ENDS_SESSION).has(code)
}
