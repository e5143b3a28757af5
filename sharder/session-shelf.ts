import type { Session } from '../src/protocol/session.ts'
import type { Clock } from '../src/support/clock.ts'

/** Discord keeps a session for about this long without a connection, in milliseconds. */
const LIFETIME_MS = 90_000

/** Sessions that have no shard here: left by a former process, or released. They grow old and are forgotten. */
export class SessionShelf {
  readonly #clock: Clock
  readonly #sessions = new Map<number, { readonly session: Session; readonly putAt: number }>()

  constructor(clock: Clock, stored: readonly Session[]) {
    this.#clock = clock
    for (const session of stored) this.put(session)
  }

  put(session: Session): void {
    this.#sessions.set(session.shardId, { session, putAt: this.#clock.now() })
  }

  /** The session as old as it is now; undefined when there is none that may still live. */
  look(shardId: number): Session | undefined {
    const entry = this.#sessions.get(shardId)
    if (!entry) return undefined
    const lastContactMsAgo = entry.session.lastContactMsAgo + this.#clock.now() - entry.putAt
    if (lastContactMsAgo < LIFETIME_MS) return { ...entry.session, lastContactMsAgo }
    this.#sessions.delete(shardId)
    return undefined
  }

  /**
   * Takes the shard's session off the shelf and returns the newer of it and `offered`, if it is of `totalShards`.
   * Two copies of one session differ in what was confirmed: the further one is right.
   */
  take(shardId: number, totalShards: number, offered: Session | undefined): Session | undefined {
    const kept = this.look(shardId)
    this.#sessions.delete(shardId)
    const [a, b] = [offered, kept].filter((session) => session?.totalShards === totalShards)
    if (!a || !b) return a ?? b
    if (a.sessionId !== b.sessionId) return a.lastContactMsAgo <= b.lastContactMsAgo ? a : b
    return {
      ...a,
      sequence: Math.max(a.sequence, b.sequence),
      lastContactMsAgo: Math.min(a.lastContactMsAgo, b.lastContactMsAgo),
    }
  }
}
