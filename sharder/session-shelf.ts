import { betterSession, SESSION_LIFETIME_MS, type Session } from '../src/protocol/session.ts'
import type { Clock } from '../src/support/clock.ts'

/** Sessions that have no shard here: left by a former process, or released. They grow old and are forgotten. */
export class SessionShelf {
  readonly #clock: Clock
  readonly #sessions = new Map<number, { readonly session: Session; readonly putAt: number }>()

  constructor(clock: Clock, stored: readonly Session[] = []) {
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
    if (lastContactMsAgo < SESSION_LIFETIME_MS) return { ...entry.session, lastContactMsAgo }
    this.#sessions.delete(shardId)
    return undefined
  }

  /** Every session that may still live, as old as it is now. */
  all(): Session[] {
    return [...this.#sessions.keys()].flatMap((shardId) => this.look(shardId) ?? [])
  }

  /** Takes the shard's session off the shelf and returns the better of it and `offered`, if it is of `totalShards`. */
  take(shardId: number, totalShards: number, offered: Session | undefined): Session | undefined {
    const kept = this.look(shardId)
    this.#sessions.delete(shardId)
    const [a, b] = [offered, kept].filter((session) => session?.totalShards === totalShards)
    return a && b ? betterSession(a, b) : (a ?? b)
  }
}
