import type { Clock } from '../../support/clock.ts'
import { CloseCode, endsSession } from './close-codes.ts'
import { IdentifyBuckets } from './identify-buckets.ts'
import { intentsAreKnown } from './intents.ts'
import { type Session, SessionTable, type ShardRecord } from './sessions.ts'
import { SessionStartLimit, type StartLimitState } from './start-limit.ts'
import { type ViolationKind, Violations } from './violations.ts'

/** What Discord knows about one bot, and the limits it holds it to. Times in milliseconds. */
export interface BotRulesOptions {
  /** Identify keys per window; 1, 16, 64 ... */
  readonly maxConcurrency: number
  readonly identifyWindowMs: number
  /** IDENTIFYs per day, and how long that day is. */
  readonly sessionStartTotal: number
  readonly sessionStartWindowMs: number
  /** How long a session survives without a connection. */
  readonly sessionLifetimeMs: number
  /** Dispatches each session can replay. */
  readonly replayCapacity: number
  /** A large bot's shard count must be a multiple of this, else 4010. 1: any count is fine. */
  readonly shardMultiple: number
  /** A smaller shard count is answered with 4011. 0: sharding is never required. */
  readonly requiredShards: number
  /** Intent bits answered with 4014. */
  readonly disallowedIntents: number
  readonly keepViolations: number
}

/** The parts of an IDENTIFY the rules look at. `shard` is undefined when the client sent none. */
export interface IdentifyRequest {
  readonly shard: readonly [number, number] | undefined
  readonly intents: number
}

/** Discord's answer to an IDENTIFY. */
export type IdentifyOutcome<C> =
  | { readonly kind: 'ready'; readonly session: Session<C> }
  /** Op 9 with `d: false`. */
  | { readonly kind: 'invalid-session' }
  | { readonly kind: 'close'; readonly code: number }
  /** The token was reset: every one of `connections` closes with 4004, and nothing of this bot works any more. */
  | { readonly kind: 'token-reset'; readonly connections: readonly C[] }

/** Discord's answer to a RESUME. */
export type ResumeOutcome<C> =
  /** `superseded` is the connection the session was on, when it was still there. */
  | { readonly kind: 'resumed'; readonly session: Session<C>; readonly replayed: number; readonly superseded?: C }
  | { readonly kind: 'invalid-session' }
  | { readonly kind: 'close'; readonly code: number }

/** When the first and the last of something happened, in milliseconds since 1970. */
export interface Span {
  readonly firstAt: number
  readonly lastAt: number
}

/** What happened so far, in numbers. */
export interface BotCounts {
  identifies: number
  readies: number
  resumes: number
  resumesRefused: number
  replayedEvents: number
  sessionsExpired: number
}

/**
 * Discord's rules for one bot, without a socket: the same object judges a real connection in the simulator and a
 * made-up one under a virtual clock. `C` is whatever stands for a connection.
 */
export class BotRules<C extends object> {
  readonly counts: BotCounts = {
    identifies: 0,
    readies: 0,
    resumes: 0,
    resumesRefused: 0,
    replayedEvents: 0,
    sessionsExpired: 0,
  }
  /** IDENTIFYs seen, by `id/total`. */
  readonly identifiesByShard = new Map<string, number>()
  /** When the first and the last IDENTIFY came, in milliseconds since 1970; undefined before the first. */
  identifySpan: Span | undefined
  /** The same of the RESUMEs that were taken. */
  resumeSpan: Span | undefined
  readonly sessions: SessionTable<C>
  readonly violations: Violations
  readonly #clock: Clock
  readonly #options: BotRulesOptions
  readonly #buckets: IdentifyBuckets
  readonly #startLimit: SessionStartLimit
  #tokenReset = false

  constructor(options: BotRulesOptions, clock: Clock, newSessionId: () => string) {
    this.#options = options
    this.#clock = clock
    this.#buckets = new IdentifyBuckets({ maxConcurrency: options.maxConcurrency, windowMs: options.identifyWindowMs })
    this.#startLimit = new SessionStartLimit({
      total: options.sessionStartTotal,
      windowMs: options.sessionStartWindowMs,
    })
    this.sessions = new SessionTable({
      lifetimeMs: options.sessionLifetimeMs,
      replayCapacity: options.replayCapacity,
      newId: newSessionId,
    })
    this.violations = new Violations(options.keepViolations, () => clock.date())
  }

  /** True once the budget was overspent: the token is worthless from then on. */
  get tokenReset(): boolean {
    return this.#tokenReset
  }

  get maxConcurrency(): number {
    return this.#buckets.maxConcurrency
  }

  /** Discord changes this while bots run; what was identified in the last window still counts. */
  setMaxConcurrency(value: number): void {
    this.#buckets.setMaxConcurrency(value)
  }

  get startLimit(): StartLimitState {
    return this.#startLimit.state(this.#clock.now())
  }

  /** Makes `remaining` (0 to the day's total) what is left of today's IDENTIFYs. */
  setRemaining(remaining: number): void {
    this.#startLimit.setRemaining(remaining, this.#clock.now())
  }

  /**
   * Judges an IDENTIFY on `connection`. Every one spends a session start, also one that is then refused. `arrived`: when
   * it may have come at the earliest (see IdentifyBuckets.take).
   */
  identify(connection: C, request: IdentifyRequest, arrived = this.#clock.now()): IdentifyOutcome<C> {
    if (this.#tokenReset) return { kind: 'close', code: CloseCode.AuthenticationFailed }
    const [id, total] = request.shard ?? [0, 1]
    this.counts.identifies += 1
    this.identifySpan = this.#prolonged(this.identifySpan)
    const key = `${id}/${total}`
    this.identifiesByShard.set(key, (this.identifiesByShard.get(key) ?? 0) + 1)
    if (!this.#startLimit.spend(this.#clock.now())) return this.#resetToken([id, total])
    const fatal = this.#fatalCode(request)
    if (fatal !== undefined) return this.#refuse(fatal, [id, total])
    const bucket = this.#buckets.take(id, this.#clock.now(), arrived)
    if (!bucket.granted) {
      const early = `${bucket.earlyByMs.toFixed(1)} ms before bucket ${bucket.bucket} was free (shard ${bucket.heldBy})`
      this.violation('bucket', `IDENTIFY of shard ${id}/${total} ${early}`, [id, total])
      return { kind: 'invalid-session' }
    }
    const session = this.sessions.create(id, total, request.intents, connection)
    this.counts.readies += 1
    this.#watchOwners(session.shard)
    return { kind: 'ready', session }
  }

  /** Judges a RESUME on `connection`: free of both identify limits, and only for a session Discord still has. */
  resume(connection: C, request: { readonly sessionId: string; readonly seq: number }): ResumeOutcome<C> {
    if (this.#tokenReset) return { kind: 'close', code: CloseCode.AuthenticationFailed }
    const lookup = this.sessions.find(request.sessionId, request.seq, this.#clock.now())
    if (!lookup.found) {
      this.counts.resumesRefused += 1
      return lookup.why === 'ahead' ? this.#refuse(CloseCode.InvalidSequence) : { kind: 'invalid-session' }
    }
    const { session } = lookup
    const superseded = session.connection
    session.connection = connection
    const replayed = session.log.last - request.seq
    this.counts.resumes += 1
    session.shard.resumes += 1
    this.resumeSpan = this.#prolonged(this.resumeSpan)
    this.counts.replayedEvents += replayed
    this.#watchOwners(session.shard)
    return { kind: 'resumed', session, replayed, ...(superseded === undefined ? {} : { superseded }) }
  }

  /** The connection of `session` closed with `code`. Ignored when another connection has taken the session over. */
  disconnected(session: Session<C>, connection: C, code: number, by: 'client' | 'discord'): void {
    if (session.ended || session.connection !== connection) return
    session.connection = undefined
    session.disconnectedAt = this.#clock.now()
    if (endsSession(code, by)) this.sessions.end(session)
  }

  /** Forgets sessions that nobody resumed in time. */
  sweep(): void {
    this.counts.sessionsExpired += this.sessions.sweep(this.#clock.now())
  }

  /** Counts what the connection itself saw: too many sends, no heartbeat, a payload that makes no sense. */
  violation(kind: ViolationKind, detail: string, shard?: readonly [number, number]): void {
    this.violations.add(kind, detail, shard)
  }

  #prolonged(span: Span | undefined): Span {
    const at = this.#clock.date().getTime()
    return { firstAt: span?.firstAt ?? at, lastAt: at }
  }

  #fatalCode({ shard, intents }: IdentifyRequest): number | undefined {
    const { requiredShards, shardMultiple, disallowedIntents } = this.#options
    const total = shard?.[1] ?? 1
    if (shard !== undefined && !isShard(shard)) return CloseCode.InvalidShard
    if (total < requiredShards) return CloseCode.ShardingRequired
    if (total % shardMultiple !== 0) return CloseCode.InvalidShard
    if (!intentsAreKnown(intents)) return CloseCode.InvalidIntents
    if ((intents & disallowedIntents) !== 0) return CloseCode.DisallowedIntents
    return undefined
  }

  #refuse(code: number, shard?: readonly [number, number]): { readonly kind: 'close'; readonly code: number } {
    this.violation('protocol', `closed with ${code}`, shard)
    return { kind: 'close', code }
  }

  #resetToken(shard: readonly [number, number]): IdentifyOutcome<C> {
    this.#tokenReset = true
    const { total } = this.startLimit
    this.violation('startLimit', `IDENTIFY beyond the ${total} of the day: the token was reset`, shard)
    const connections: C[] = []
    for (const session of [...this.sessions.all()]) {
      if (session.connection !== undefined) connections.push(session.connection)
      this.sessions.end(session)
    }
    return { kind: 'token-reset', connections }
  }

  /** The invariant the whole project is about, where a session is given away: one live session per [shard, total]. */
  #watchOwners(shard: ShardRecord<C>): void {
    const live = [...shard.sessions].filter((session) => session.connection !== undefined)
    if (live.length < 2) return
    const detail = `shard ${shard.id}/${shard.total} has ${live.length} live sessions`
    this.violation('doubleOwner', detail, [shard.id, shard.total])
  }
}

function isShard([id, total]: readonly [number, number]): boolean {
  return Number.isInteger(id) && Number.isInteger(total) && total >= 1 && id >= 0 && id < total
}
