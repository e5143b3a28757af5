import { ReplayLog } from './replay-log.ts'

/** One shard of one shard set as Discord sees it: `[id, total]`, and the counter its events carry. */
export interface ShardRecord<C> {
  readonly id: number
  readonly total: number
  /** How many counted events were ever generated for it, over all its sessions. The last one carried this number. */
  counter: number
  /** RESUMEs that were taken. */
  resumes: number
  /** Dispatches sent for the first time, and sent again for a RESUME; READY and RESUMED are dispatches too. */
  sent: number
  replayed: number
  /** Its sessions, live or resumable. More than one only when it was identified twice. */
  readonly sessions: Set<Session<C>>
}

/** A gateway session. It lives while connected, and `lifetimeMs` beyond that. `C` is whatever stands for a connection. */
export interface Session<C> {
  readonly id: string
  readonly shard: ShardRecord<C>
  readonly intents: number
  readonly log: ReplayLog
  /** The furthest sequence that was ever sent. */
  sent: number
  /** The connection it is on, or undefined between a disconnect and a RESUME. */
  connection: C | undefined
  /** Monotonic milliseconds of the last disconnect; meaningless while connected. */
  disconnectedAt: number
  ended: boolean
}

/** Counts dispatch `s` of `session`, which is being sent: new, or once more. */
export function countSent<C>(session: Session<C>, s: number): void {
  if (s > session.sent) {
    session.sent = s
    session.shard.sent += 1
  } else session.shard.replayed += 1
}

/** Finding a session for a RESUME: there, or why not. */
export type Lookup<C> =
  | { readonly found: true; readonly session: Session<C> }
  | { readonly found: false; readonly why: 'unknown' | 'expired' | 'forgotten' | 'ahead' }

interface SessionTableOptions {
  /** How long a session may be without a connection. */
  readonly lifetimeMs: number
  /** How many dispatches each session can replay. */
  readonly replayCapacity: number
  /** A new session id each time. */
  readonly newId: () => string
}

/** The sessions of one bot, their shards, and what can be resumed. */
export class SessionTable<C> {
  readonly #options: SessionTableOptions
  readonly #sessions = new Map<string, Session<C>>()
  readonly #shards = new Map<string, ShardRecord<C>>()

  constructor(options: SessionTableOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Every session, live or resumable. */
  all(): Iterable<Session<C>> {
    return this.#sessions.values()
  }

  /** Every shard that ever had a session. */
  shards(): Iterable<ShardRecord<C>> {
    return this.#shards.values()
  }

  /** A new session on `connection`. Earlier sessions of the shard stay: Discord allows several, and so do we. */
  create(shardId: number, totalShards: number, intents: number, connection: C): Session<C> {
    const session: Session<C> = {
      id: this.#options.newId(),
      shard: this.#shard(shardId, totalShards),
      intents,
      log: new ReplayLog(this.#options.replayCapacity),
      sent: 0,
      connection,
      disconnectedAt: 0,
      ended: false,
    }
    session.shard.sessions.add(session)
    this.#sessions.set(session.id, session)
    return session
  }

  /** The session a RESUME with `id` and last received sequence `seq` asks for. */
  find(id: string, seq: number, now: number): Lookup<C> {
    const session = this.#sessions.get(id)
    if (session === undefined) return { found: false, why: 'unknown' }
    if (this.#expired(session, now)) {
      this.end(session)
      return { found: false, why: 'expired' }
    }
    if (!Number.isInteger(seq) || seq < 0 || seq > session.log.last) return { found: false, why: 'ahead' }
    if (seq + 1 < session.log.first) return { found: false, why: 'forgotten' }
    return { found: true, session }
  }

  /** Ends a session: no RESUME finds it again. */
  end(session: Session<C>): void {
    session.ended = true
    session.connection = undefined
    session.shard.sessions.delete(session)
    this.#sessions.delete(session.id)
  }

  /** Ends every session that has been without a connection for too long; returns how many. */
  sweep(now: number): number {
    let ended = 0
    for (const session of this.#sessions.values()) {
      if (!this.#expired(session, now)) continue
      this.end(session)
      ended += 1
    }
    return ended
  }

  #expired(session: Session<C>, now: number): boolean {
    return session.connection === undefined && now - session.disconnectedAt >= this.#options.lifetimeMs
  }

  #shard(id: number, total: number): ShardRecord<C> {
    const key = `${id}/${total}`
    const known = this.#shards.get(key)
    if (known !== undefined) return known
    const shard: ShardRecord<C> = { id, total, counter: 0, resumes: 0, sent: 0, replayed: 0, sessions: new Set() }
    this.#shards.set(key, shard)
    return shard
  }
}
