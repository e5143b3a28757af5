import { BotRules, type Session } from '../../../../src/simulator/rules/index.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { Random } from './random.ts'

/** One WebSocket, from IDENTIFY or RESUME on. */
export interface Connection {
  readonly cluster: string
  readonly shardId: number
  readonly totalShards: number
  readonly reserve: number
  /** When the manager permitted its IDENTIFY. */
  readonly grantedAt: number
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

  identify(connection: Connection): Verdict {
    const { shardId, totalShards } = connection
    const before = this.rules.violations.counts.bucket
    const outcome = this.rules.identify(connection, { shard: [shardId, totalShards], intents: 1 })
    this.#judgeReserve(connection)
    if (this.rules.violations.counts.bucket > before) {
      if (connection.grantedAt <= this.excusedUntil) this.excused++
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
    return this.#random.chance(silence) ? 'silence' : 'ready'
  }

  resume(connection: Connection, sessionId: string): boolean {
    const outcome = this.rules.resume(connection, { sessionId, seq: 0 })
    if (outcome.kind !== 'resumed') return false
    if (outcome.superseded) this.problem(`${about(connection)} resumed a session that was still connected`)
    this.#open(connection, outcome.session)
    return true
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

const about = ({ cluster, shardId }: Connection): string => `shard ${shardId} of ${cluster}`
