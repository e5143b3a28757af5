import { BotRules, type Session } from '../../../../src/simulator/rules/index.ts'
import type { Random } from '../../../support/random.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import { SimFeed, type SimSink, SimTraffic } from './feed.ts'

/** One WebSocket, from IDENTIFY or RESUME on. */
export interface Connection {
  readonly cluster: string
  readonly shardId: number
  readonly totalShards: number
  readonly reserve: number
  /** Whose it is: what this very thread has read need not be sent again. */
  readonly thread: object
  session: Session<Connection> | undefined
  /** The client knows its session. */
  ready: boolean
  closed: boolean
  /** Discord closes it. */
  onClosed: (sessionLost: boolean) => void
}

/** Faults of Discord; all off by default. */
export interface DiscordFaults {
  /** Part of the IDENTIFYs that are answered by op 9 although they came in time. */
  invalidSession: number
  /** Part of the IDENTIFYs that are never answered. */
  silence: number
  /** Every IDENTIFY is refused by this close code. */
  fatalCode: number | undefined
}

export interface DiscordOptions {
  readonly maxConcurrency: number
  readonly windowMs: number
  readonly budget: number
  readonly dayMs: number
}

export type Verdict = 'ready' | 'invalid-session' | 'silence' | { readonly closeCode: number }

/** Discord, as far as the manager can notice it: the simulator's own rules, on the virtual clock, judging the run. */
export class SimDiscord {
  readonly faults: DiscordFaults = { invalidSession: 0, silence: 0, fatalCode: undefined }
  readonly problems: string[] = []
  readonly rules: BotRules<Connection>
  readonly #live = new Set<Connection>()
  readonly #clock: VirtualClock
  readonly #random: Random
  /** IDENTIFYs permitted until then may collide: max_concurrency shrank and nobody could know. */
  excusedUntil = Number.NEGATIVE_INFINITY
  excused = 0
  /** Why an IDENTIFY of a shard whose session `id` ended in this way could not be spared; undefined: it could. */
  excuse: (id: string, disconnectedAt: number | undefined) => string | undefined = () => undefined
  /** IDENTIFYs that no manager could have spared, by why. */
  readonly unavoidable = new Map<string, number>()
  replayed = 0
  readonly #permittedAt = new Map<string, number>()
  readonly #traffic = new Map<string, SimTraffic>()
  /** The last session of each shard that its client knew of. */
  readonly #known = new Map<string, Session<Connection>>()
  /** How far each thread has read each session. */
  readonly #read = new WeakMap<object, Map<string, SimFeed>>()

  constructor(options: DiscordOptions, clock: VirtualClock, random: Random) {
    this.#clock = clock
    this.#random = random
    let sessions = 0
    this.rules = new BotRules<Connection>(
      {
        maxConcurrency: options.maxConcurrency,
        identifyWindowMs: options.windowMs,
        sessionStartTotal: options.budget,
        sessionStartWindowMs: options.dayMs,
        sessionLifetimeMs: 90_000,
        replayCapacity: 16,
        shardMultiple: 1,
        requiredShards: 0,
        disallowedIntents: 0,
        keepViolations: 20,
      },
      clock,
      () => `session-${++sessions}`,
    )
  }

  /** Events of a session on their way through a thread. */
  feedOf(sessionId: string, sink: SimSink, thread: object): SimFeed {
    const traffic = this.#traffic.get(sessionId) ?? new SimTraffic(this.#clock.now(), 0)
    const feed = new SimFeed(this.#clock, sink, traffic)
    const read = this.#read.get(thread) ?? new Map<string, SimFeed>()
    this.#read.set(thread, read.set(sessionId, feed))
    return feed
  }

  identify(connection: Connection): Verdict {
    const { shardId, totalShards } = connection
    this.#judgeNeed(connection)
    const before = this.rules.violations.counts.bucket
    const outcome = this.rules.identify(connection, { shard: [shardId, totalShards], intents: 1 })
    this.#judgeReserve(connection)
    if (this.rules.violations.counts.bucket > before) {
      if ((this.#permittedAt.get(shardKey(connection)) ?? 0) <= this.excusedUntil) this.excused++
      else this.problem(`bucket violation: ${this.rules.violations.newest.at(-1)?.detail}`)
    }
    if (outcome.kind !== 'ready') return outcome.kind === 'close' ? { closeCode: outcome.code } : 'invalid-session'
    const { fatalCode, invalidSession, silence } = this.faults
    const refused = fatalCode !== undefined || this.#random.chance(invalidSession)
    if (refused) {
      this.rules.sessions.end(outcome.session)
      return fatalCode === undefined ? 'invalid-session' : { closeCode: fatalCode }
    }
    this.#open(connection, outcome.session)
    // A fourth of the shards have traffic: that is enough to lose some, and quick to play.
    const periodMs = shardId % 4 === 0 ? 500 + 250 * (shardId % 5) : 0
    this.#traffic.set(outcome.session.id, new SimTraffic(this.#clock.now(), periodMs))
    return this.#random.chance(silence) ? 'silence' : 'ready'
  }

  /** A manager permitted the shard's next IDENTIFY at `at`. */
  permitted(cluster: string, shardId: number, at: number): void {
    this.#permittedAt.set(shardKey({ cluster, shardId }), at)
  }

  /** READY was read: from now on the client knows its session. */
  ready(connection: Connection): void {
    if (connection.session) this.#known.set(keyOf(connection), connection.session)
  }

  resume(connection: Connection, sessionId: string, sequence: number): boolean {
    this.#judgeSequence(connection, sessionId, sequence)
    const outcome = this.rules.resume(connection, { sessionId, seq: 0 })
    if (outcome.kind !== 'resumed') return false
    if (outcome.superseded) this.problem(`${about(connection)} resumed a session that was still connected`)
    this.#open(connection, outcome.session)
    return true
  }

  /** RESUME asks for what comes after `sequence`: all before must be with the bot, or in the queue of this very thread. */
  #judgeSequence(connection: Connection, sessionId: string, sequence: number): void {
    const confirmed = this.#traffic.get(sessionId)?.confirmed ?? 0
    const read = this.#read.get(connection.thread)?.get(sessionId)?.sequence ?? 0
    if (sequence > Math.max(confirmed, read))
      this.problem(`${about(connection)} lost events ${confirmed + 1} to ${sequence} of ${sessionId}`)
    this.replayed += Math.max(0, confirmed - sequence)
  }

  /** An IDENTIFY for a shard that has a session is needless, unless nobody could know of it or take it up in time. */
  #judgeNeed(connection: Connection): void {
    const session = this.#known.get(keyOf(connection))
    let why: string | undefined = session ? undefined : 'its first session'
    if (session?.ended) why = 'Discord ended its session'
    if (session && !session.ended) {
      why = this.excuse(session.id, session.connection === undefined ? session.disconnectedAt : undefined)
      if (why === undefined)
        this.problem(`${about(connection)} spent a needless IDENTIFY: ${session.id} could be resumed`)
    }
    this.unavoidable.set(why ?? 'needless', (this.unavoidable.get(why ?? 'needless') ?? 0) + 1)
  }

  /** The client closes with a code that keeps the session, or its process dies. */
  close(connection: Connection): void {
    if (connection.closed) return
    connection.closed = true
    this.#live.delete(connection)
    if (connection.session) this.rules.disconnected(connection.session, connection, 4900, 'client')
  }

  /** Discord closes part of all connections; the sessions survive, or not. */
  disconnect(part: number, sessionLost: boolean): void {
    for (const connection of [...this.#live]) {
      if (!this.#random.chance(part) || !connection.ready) continue
      const { session } = connection
      this.close(connection)
      if (sessionLost && session) this.rules.sessions.end(session)
      connection.onClosed(sessionLost)
    }
  }

  /** With SHARDCLUSTER_TRACE a replayed run tells what happened. */
  trace(text: string): void {
    if (process.env['SHARDCLUSTER_TRACE']) console.log(`${(this.#clock.now() / 1000).toFixed(3)} s: ${text}`)
  }

  problem(text: string): void {
    this.trace(`PROBLEM ${text}`)
    this.problems.push(`${(this.#clock.now() / 1000).toFixed(3)} s: ${text}`)
  }

  #open(connection: Connection, session: Session<Connection>): void {
    connection.session = session
    for (const other of this.#live) {
      if (other.cluster === connection.cluster && other.shardId === connection.shardId)
        this.problem(`${about(connection)} has two connections`)
    }
    this.#live.add(connection)
  }

  #judgeReserve(connection: Connection): void {
    const { remaining } = this.rules.startLimit
    if (remaining < connection.reserve)
      this.problem(`${about(connection)} spent from the reserve: ${remaining} left of ${connection.reserve}`)
    if (this.rules.tokenReset) this.problem('the token was reset')
  }
}

const keyOf = ({ cluster, shardId, totalShards }: Connection): string => `${cluster}/${shardId}/${totalShards}`

const shardKey = ({ cluster, shardId }: Pick<Connection, 'cluster' | 'shardId'>): string => `${cluster}/${shardId}`

const about = ({ cluster, shardId }: Connection): string => `shard ${shardId} of ${cluster}`
