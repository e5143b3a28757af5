import { betterSession, SESSION_LIFETIME_MS, type Session } from '../protocol/session.ts'

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
  /** The last session of a shard that is known to have ended: copies of it may still turn up. */
  readonly #ended = new Map<number, string>()

  /** What the worker that holds the shard said: `connected` while it is live there. @returns whether it is another session. */
  record(session: Session, connected: boolean, now: number): boolean {
    const { shardId, sessionId } = session
    const other = this.#entries.get(shardId)?.session.sessionId !== sessionId
    this.#entries.set(shardId, { session, lastContactAt: connected ? undefined : now - session.lastContactMsAgo })
    return other
  }

  /** A copy that somebody kept: of a worker that gave the shard up, or saved. A shard that is connected needs none. */
  offer(session: Session, now: number): void {
    const { shardId } = session
    if (this.#ended.get(shardId) === session.sessionId) return
    const known = this.#entries.get(shardId)
    if (known && known.lastContactAt === undefined) return
    const [held] = known ? this.resumable([shardId], known.session.totalShards, now) : []
    this.record(held && held.totalShards === session.totalShards ? betterSession(held, session) : session, false, now)
  }

  /** The worker that holds the shard said that its session is dead. */
  end(shardId: number): void {
    const known = this.#entries.get(shardId)
    if (!known) return
    this.#ended.set(shardId, known.session.sessionId)
    this.#entries.delete(shardId)
  }

  /** The connection ended at `at`, as far as is known; the session lives on for a while. */
  disconnected(shardId: number, at: number): void {
    const entry = this.#entries.get(shardId)
    if (entry) entry.lastContactAt ??= at
  }

  /** Shards of which a session is known, be it too old. */
  shardIds(): Iterable<number> {
    return this.#entries.keys()
  }

  /** Whether the shard ever had a session, as far as is known. */
  knows(shardId: number): boolean {
    return this.#entries.has(shardId) || this.#ended.has(shardId)
  }

  /** Whether the shard is connected. */
  connected(shardId: number): boolean {
    const entry = this.#entries.get(shardId)
    return entry !== undefined && entry.lastContactAt === undefined
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
