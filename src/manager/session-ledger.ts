import type { Session } from '../protocol/session.ts'

/** Discord keeps a session for about this long after its connection ended, in milliseconds (discord-api-docs#1619). */
export const SESSION_LIFETIME_MS = 90_000

interface Entry {
  readonly session: Session
  /** When Discord was last heard on it, on the injected clock; undefined: it is connected now. */
  lastContactAt: number | undefined
}

/**
 * The manager's copy of every session, at most a second old: what a worker needs to take over the shards of one
 * that is gone.
 */
export class SessionLedger {
  readonly #entries = new Map<number, Entry>()

  /** What a worker said: `connected` while the shard is live there. */
  record(session: Session, connected: boolean, now: number): void {
    this.#entries.set(session.shardId, {
      session,
      lastContactAt: connected ? undefined : now - session.lastContactMsAgo,
    })
  }

  /** The session is known to be dead. */
  drop(shardId: number): void {
    this.#entries.delete(shardId)
  }

  /** The connection ended at `at`, as far as is known; the session lives on for a while. */
  disconnected(shardId: number, at: number): void {
    const entry = this.#entries.get(shardId)
    if (entry) entry.lastContactAt ??= at
  }

  /** What can still be resumed at `now`, of these shards. */
  resumable(shardIds: Iterable<number>, totalShards: number, now: number): Session[] {
    const sessions: Session[] = []
    for (const shardId of shardIds) {
      const entry = this.#entries.get(shardId)
      if (!entry || entry.session.totalShards !== totalShards) continue
      const lastContactMsAgo = Math.max(0, now - (entry.lastContactAt ?? now))
      if (lastContactMsAgo < SESSION_LIFETIME_MS) sessions.push({ ...entry.session, lastContactMsAgo })
    }
    return sessions
  }
}
