import { ShardState } from '@discordeno/gateway'
import { gatewayUrlProblem } from '../../src/domain/gateway-host.ts'
import type { SessionEnd, ShardStateName } from '../../src/protocol/state.ts'
import { sleep } from '../../src/support/clock.ts'
import { afterClose } from './after-close.ts'
import { Attempt, type AttemptEnded, type AttemptHost, type Purpose } from './attempt.ts'
import { ConnectionLog, type ShardHistory } from './connection-log.ts'
import type { FaultReason } from './gateway-fault.ts'
import type { NewSession } from './gateway-fields.ts'
import { identifyFailure, notOpened, parkedFailure } from './identify-failure.ts'
import { type IdentifyOutcome, notIdentified, type Permit } from './permit.ts'
import { type ResumeCause, resumeCause } from './resume-cause.ts'
import { isNodeLoss, type Turn } from './resume-pace.ts'
import { SessionShard } from './session-shard.ts'
import type { ShardEnvironment } from './shard-environment.ts'
import { StateChange } from './state-change.ts'
import type { SessionState, ShardSummary } from './summary.ts'

/** What a shard begins with. */
export interface Restore {
  readonly session?: SessionState | undefined
  readonly history?: ShardHistory | undefined
  /** Why it resumes, if it does. */
  readonly cause?: ResumeCause | undefined
}

const RELEASED = notIdentified('NOT_ASSIGNED', 'The shard was released.')

/**
 * One shard. Its loop alone opens connections, one after the other: it resumes by itself for as long as there is a
 * session, and identifies only with a permit.
 */
export class ManagedShard extends SessionShard implements AttemptHost {
  readonly #stopped = new AbortController()
  readonly #heldSince: number
  #permit: Permit | undefined
  #attempt: Attempt | undefined
  readonly #log: ConnectionLog
  #cause: ResumeCause
  /** Its place among the shards that lost their connections with it. */
  #turn: Turn | undefined
  readonly #stateChange = new StateChange()
  #running: Promise<void> | undefined

  constructor(id: number, environment: ShardEnvironment, { session, history, cause = 'handover' }: Restore = {}) {
    super(id, environment)
    this.#heldSince = environment.clock.now()
    this.#log = new ConnectionLog(history)
    this.#cause = cause
    if (session) this.restoreSession(session)
  }

  /** Starts its life; calling it again does nothing. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Closes so that the session lives on, and ends its life. A permit that waits is answered with `outcome`. */
  async stop(outcome: IdentifyOutcome = RELEASED): Promise<void> {
    this.#stopped.abort()
    this.#permit?.settle({ ...outcome, ...this.#spent() })
    this.connectionInUse?.close(4000, 'released')
    this.#stateChange.announce()
    await this.#running
  }

  /** It was assigned anew: a parked shard lives again, and one without a session takes this one. */
  assignAgain(session: SessionState | undefined): void {
    const parked = this.state === ShardState.Offline
    if (!parked && (this.state !== ShardState.Unidentified || this.#permit)) return
    if (session && !this.sessionId) {
      this.restoreSession(session)
      this.#cause = 'handover'
    }
    if (parked || this.sessionId) this.#become(this.sessionId ? ShardState.Resuming : ShardState.Unidentified)
  }

  /** Spends the permit, unless the shard has a session or is on its way to one. Resolves with the truth. */
  async identifyWith(permit: Permit): Promise<IdentifyOutcome> {
    const { clock } = this.environment
    if (this.#stopped.signal.aborted) return RELEASED
    if (this.state === ShardState.Connected)
      return { identified: true, identifiedMsAgo: clock.now() - (this.#log.identifiedAt ?? this.#heldSince) }
    if (this.state === ShardState.Offline) return parkedFailure(this.#log.lastClose)
    if (this.#permit) return this.#permit.outcome
    if (this.sessionId) return this.#identifyAfterResume(permit)
    this.#permit = permit
    permit.signal.addEventListener('abort', () => this.#withdraw(permit), { once: true })
    if (permit.signal.aborted) this.#withdraw(permit)
    this.#stateChange.announce()
    return permit.outcome
  }

  get stateName(): ShardStateName {
    return ShardState[this.state] as ShardStateName
  }

  summary(): ShardSummary {
    const { session } = this
    return {
      shardId: this.id,
      state: this.stateName,
      ...this.#log.summary,
      ...(this.heart.rtt !== undefined && { rttMs: Math.max(0, this.heart.rtt) }),
      ...(session !== undefined && { session }),
      ...(this.ended !== undefined && { ended: this.ended }),
    }
  }

  identifySent(at: number): void {
    this.#log.identifySent(at)
    this.#become(ShardState.Identifying)
  }

  resumeSent(): void {
    this.#log.resumeSent()
  }

  odd(reason: FaultReason): void {
    this.environment.counts.fault(reason)
  }

  live(session: NewSession | undefined, at: number, replayed: number): void {
    if (session) this.beginSession(session, at)
    this.#countLive(session !== undefined, at, replayed)
    this.nowLive()
    this.#log.live()
    this.#permit?.settle({ identified: true, identifiedMsAgo: at - (this.#log.identifiedAt ?? at) })
    this.#permit = undefined
    this.#become(ShardState.Connected)
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      if (this.state === ShardState.Offline) await this.#stateChange.next()
      else if (this.sessionId) await this.#resumeOnce()
      else await this.#identifyOnce()
    }
    this.letGo()
  }

  async #resumeOnce(): Promise<void> {
    const { gate, clock, timings, random } = this.environment
    const { signal } = this.#stopped
    this.#become(ShardState.Resuming)
    await sleep(clock, this.#log.backoff(timings, random), signal)
    await this.#turn?.come(this.expiresAt - timings.sessionLifetime / 2, signal)
    this.#turn = undefined
    const leave = await gate.enter(signal, this.expiresAt)
    if (!leave) return
    if (this.sessionExpired()) this.#drop('its session was not resumed in time')
    else await this.#settle(await this.#connect(this.resumption(), leave), undefined)
    leave()
  }

  async #identifyOnce(): Promise<void> {
    this.#become(ShardState.Unidentified)
    while (!this.#permit && !this.sessionId && !this.#stopped.signal.aborted) await this.#stateChange.next()
    const permit = this.#permit
    if (!permit) return
    if (!permit.settled) {
      const { totalShards } = this.environment.settings()
      this.#become(ShardState.Connecting)
      const ended = await this.#connect({ permit, shard: [this.id, totalShards] }, () => {})
      // Whoever comes from now on brings another.
      if (this.#permit === permit) this.#permit = undefined
      await this.#settle(ended, ended.liveAt === undefined ? permit : undefined)
    } else if (this.#permit === permit) this.#permit = undefined
  }

  /** One connection from start to end; always resolves. */
  async #connect(purpose: Purpose, onOpen: () => void): Promise<AttemptEnded> {
    const { clock, timings, token, settings, gatewayHosts } = this.environment
    // Whoever named the address, and before the token is at hand.
    const elsewhere = gatewayUrlProblem(purpose.permit ? settings().gateway.url : purpose.url, gatewayHosts)
    if (elsewhere !== undefined) return notOpened(elsewhere)
    const key = await token().catch((error: Error) => error)
    if (key instanceof Error) return notOpened(key.message)
    if (this.#stopped.signal.aborted || purpose.permit?.settled) return notOpened('withdrawn')
    const { gateway } = settings()
    const ended = await new Promise<AttemptEnded>((onEnded) => {
      const attempt = new Attempt({ purpose, token: key, gateway, clock, timings, host: this, onOpen, onEnded })
      this.#attempt = attempt
      this.connectionInUse = attempt.connection
      // discordeno's isOpen() and send() look at it.
      this.socket = attempt.connection as unknown as NonNullable<typeof this.socket>
    })
    this.stopHeartbeating()
    this.#attempt = undefined
    this.connectionInUse = undefined
    return ended
  }

  /** Draws the consequences of a connection that ended. */
  async #settle(ended: AttemptEnded, permit: Permit | undefined): Promise<void> {
    const { counts, clock, timings, random, logger } = this.environment
    const now = clock.now()
    this.#log.ended(ended, now, timings.healthy)
    counts.closed(ended.code)
    if (ended.fault) this.odd(ended.fault)
    if (ended.liveAt === undefined) this.#notLive(ended, permit, now)
    else this.#lost(ended, now)
    const next = afterClose(ended, this.#log.dubiousBefore)
    this.#log.judged(ended)
    const level = ended.fault ? 'warn' : 'debug'
    logger[level]({ shard: this.id, code: ended.code, reason: ended.reason, next }, 'a connection ended')
    if (next === 'drop') this.#forget(ended.invalidResumable === undefined ? 'CLOSED' : 'INVALIDATED')
    if (next === 'park') this.#become(ShardState.Offline)
    else if (ended.invalidResumable !== undefined) {
      // Identifying or resuming at once would meet the same answer; until then it is on its way.
      this.#become(this.sessionId || !permit ? ShardState.Resuming : ShardState.Unidentified)
      const { invalidLeast, invalidMost } = timings
      await sleep(clock, invalidLeast + random() * (invalidMost - invalidLeast), this.#stopped.signal)
    }
  }

  #countLive(ready: boolean, at: number, replayed: number): void {
    const { counts } = this.environment
    if (ready) counts.identify('READY')
    else counts.resumed(this.#cause, replayed, this.lastContactAt === undefined ? undefined : at - this.lastContactAt)
  }

  /** A live connection ended: why, and whether others were lost with it. */
  #lost(ended: AttemptEnded, now: number): void {
    this.lastContactAt = now
    this.#cause = resumeCause(ended, this.leaving)
    if (isNodeLoss(ended)) this.#turn = this.environment.pace.lost()
  }

  #notLive(ended: AttemptEnded, permit: Permit | undefined, now: number): void {
    if (!permit) {
      const result = ended.invalidResumable === undefined ? 'CLOSED' : 'INVALID_SESSION'
      this.environment.counts.notResumed(this.#cause, result)
      return
    }
    const failure = identifyFailure(ended, now)
    if (!permit.settled) this.environment.counts.identify(failure.code)
    permit.settle(failure)
  }

  /** Whoever gave the permit has gone: nothing is sent that was not sent yet. */
  #withdraw(permit: Permit): void {
    if (this.#permit !== permit || this.#attempt?.identifySentAt !== undefined) return
    permit.settle(notIdentified('CLOSED', 'The request was withdrawn before IDENTIFY was sent.'))
    this.connectionInUse?.close(4000, 'the permit was withdrawn')
    this.#stateChange.announce()
  }

  /** A session that is being resumed needs no permit; one that cannot be is told in time for the slot. */
  async #identifyAfterResume(permit: Permit): Promise<IdentifyOutcome> {
    const { clock, timings } = this.environment
    const late = AbortSignal.any([permit.signal, this.#stopped.signal])
    const until = permit.slotAt + timings.slotTolerance
    while (this.sessionId && this.state !== ShardState.Connected && !late.aborted && clock.now() < until) {
      await Promise.race([this.#stateChange.next(), sleep(clock, until - clock.now(), late)])
    }
    const resuming = this.sessionId && this.state !== ShardState.Connected
    if (resuming || late.aborted)
      return notIdentified('SLOT_MISSED', 'The shard is resuming its session, no IDENTIFY was spent.')
    return this.identifyWith(permit)
  }

  #forget(how: SessionEnd): void {
    // An IDENTIFY that was refused ends no session.
    if (this.sessionId) this.forgetSession(how)
    this.#log.startOver()
  }

  #drop(why: string): void {
    this.environment.logger.warn({ shard: this.id, why }, 'a session is lost, the shard waits for IDENTIFY_SHARD')
    this.environment.counts.notResumed(this.#cause, 'EXPIRED')
    this.#forget('EXPIRED')
  }

  #spent(): { readonly identifiedMsAgo?: number } {
    const sentAt = this.#attempt?.identifySentAt
    return sentAt === undefined ? {} : { identifiedMsAgo: this.environment.clock.now() - sentAt }
  }

  #become(state: ShardState): void {
    this.state = state
    this.environment.changed(this.id)
    this.#stateChange.announce()
  }
}
