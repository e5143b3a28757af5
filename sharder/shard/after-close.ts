import { isFatalClose } from '../../src/domain/fatal-close.ts'

/** What follows the end of a connection. */
export type AfterClose =
  /** Nobody can mend it but the user: the shard is parked. */
  | 'park'
  /** The session is dead: drop it and wait for IDENTIFY_SHARD. */
  | 'drop'
  | 'resume'

const SESSION_DEAD: ReadonlySet<number> = new Set([4007, 4009])
/** "Not authenticated" and "already authenticated": one RESUME may mend them, a second will not. */
const DUBIOUS: ReadonlySet<number> = new Set([4003, 4005])

/** How a connection ended, as far as Discord's rules ask. */
export interface Ended {
  readonly code: number
  readonly byUs: boolean
  /** Op 9 and its `d`; undefined: there was none. */
  readonly invalidResumable: boolean | undefined
}

/**
 * Discord's rules for a connection that ended (https://discord.com/developers/docs/topics/opcodes-and-status-codes).
 * 1000, 1001 and 1006 from the peer are resumed: Cloudflare sends them for live sessions (discordeno#4138).
 * `dubiousBefore`: the connection before this one ended with 4003 or 4005 too.
 */
export function afterClose({ code, byUs, invalidResumable }: Ended, dubiousBefore: boolean): AfterClose {
  if (invalidResumable !== undefined) return invalidResumable ? 'resume' : 'drop'
  if (byUs) return 'resume'
  if (isFatalClose(code)) return 'park'
  if (SESSION_DEAD.has(code)) return 'drop'
  return DUBIOUS.has(code) && dubiousBefore ? 'drop' : 'resume'
}

export const isDubious = (code: number): boolean => DUBIOUS.has(code)
