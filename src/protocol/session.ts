import { z } from 'zod'
import { FROM_WORKERS, MAX_SHARDS } from '../limits.ts'
import { ago, anyShardId, whole, wordUpTo } from './bounded.ts'

/**
 * What RESUME needs, as Discord gave it in READY, and how old it is.
 * `sequence` is the last one that the sinks acknowledged: a resume replays what the bot has not confirmed.
 */
export const sessionSchema = z.object({
  shardId: anyShardId(),
  sessionId: wordUpTo(256),
  resumeGatewayUrl: wordUpTo(1024),
  sequence: whole(0, FROM_WORKERS.sequence),
  /** The shard count it was opened with: a session is worth nothing under another. */
  totalShards: whole(1, MAX_SHARDS),
  /** Milliseconds since Discord was last heard on it, when the record was written. Discord keeps it for about 90 s. */
  lastContactMsAgo: ago(),
})

/**
 * Discord keeps a session for about this long after its connection ended, in milliseconds. No number is documented;
 * a bricked one was seen to answer for 90 s (discord-api-docs#1619).
 */
export const SESSION_LIFETIME_MS = 90_000

/** A gateway session that another process can RESUME. */
export type Session = z.infer<typeof sessionSchema>

/**
 * The better of two copies of a shard's session: of one session the further and younger of both, because what was
 * confirmed once stays confirmed; of two sessions the one that Discord was heard on last.
 */
export function betterSession(a: Session, b: Session): Session {
  if (a.sessionId !== b.sessionId) return a.lastContactMsAgo <= b.lastContactMsAgo ? a : b
  return {
    ...a,
    sequence: Math.max(a.sequence, b.sequence),
    lastContactMsAgo: Math.min(a.lastContactMsAgo, b.lastContactMsAgo),
  }
}
