import { bucketOf } from '../domain/identify-order.ts'
import {
  type Bucket,
  type Candidate,
  estimateEnd,
  type Grant,
  planIdentifies,
  type Schedule,
} from '../domain/identify-schedule.ts'
import { left, observeBudget, type StartBudget, spend } from '../domain/start-budget.ts'
import { backoffDelay } from '../support/backoff.ts'
import { type Cancel, type Clock, timeText } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { IdentifyMargin } from './identify-margin.ts'
import type { IdentifyOutcome, IdentifySource } from './identify-source.ts'
import type { SessionInfo, SessionInfoProblem, SessionInfoSource } from './session-info.ts'

export interface LaneOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly sessionInfo: SessionInfoSource
  /** When this process began to lead, on the injected clock. */
  readonly leadingSince: number
}

/** Session info is asked for again at this pace, in milliseconds: max_concurrency and the recommendation may change. */
const REFRESH_MS = 5 * 60_000

/** Slots are given to workers at most this long before: time to open a socket, not to outdate a decision. Milliseconds. */
const LOOKAHEAD_MS = 10_000

/** READY is waited for this long, as part of the window, before the next slot of the bucket is given: it tells when Discord took IDENTIFY. */
const HOLD = 0.5

/**
 * The IDENTIFYs of one bot: its buckets and its daily budget, shared by every ShardCluster of that bot.
 * Decides by planIdentifies; all it adds is time, session info, and what became of the grants.
 */
export class IdentifyLane {
  info: SessionInfo | undefined
  problem: SessionInfoProblem | undefined
  shortOfBudget = false
  readonly #options: LaneOptions
  readonly #sources = new Map<string, IdentifySource>()
  readonly #buckets = new Map<number, Bucket>()
  #budget: StartBudget | undefined
  /** Made once an answer: the same moment must not look different each time it is shown. */
  #resetTime = ''
  /** Granted, and IDENTIFY still to leave as far as is known. */
  readonly #unsent = new Set<Grant>()
  readonly #sentAt = new WeakMap<Grant, number>()
  #granted = 0
  #spentEver = 0
  readonly #margin: IdentifyMargin
  #notBefore: number
  #planning: Cancel | undefined
  #planAt = Number.POSITIVE_INFINITY
  #refreshing: Cancel | undefined
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #stopped = false

  constructor(options: LaneOptions) {
    this.#options = options
    this.#margin = new IdentifyMargin(options.clock)
    this.#notBefore = Number.NEGATIVE_INFINITY
  }

  /** IDENTIFYs left today, and when they are counted anew (RFC 3339); undefined before the first answer. */
  get budget(): { left: number; total: number; resetTime: string } | undefined {
    return this.#budget && { left: left(this.#budget), total: this.#budget.total, resetTime: this.#resetTime }
  }

  /** Milliseconds between two IDENTIFYs of a bucket. */
  get spacing(): number {
    const { window, margin } = this.#schedule()
    return window + margin
  }

  /** @returns what takes the ShardCluster out again. */
  register(source: IdentifySource): () => void {
    const alone = this.#sources.size === 0
    this.#sources.set(source.cluster, source)
    // A new leader does not know when its predecessor's last IDENTIFY left, nor one that is still under way.
    this.#notBefore = Math.max(
      this.#notBefore,
      this.#options.leadingSince + source.windowMilliseconds + this.#margin.of(source.windowMilliseconds),
    )
    // Nobody asked while nobody was here.
    if (alone || this.info === undefined) this.refresh()
    this.wake()
    return () => {
      if (this.#sources.get(source.cluster) === source) this.#sources.delete(source.cluster)
      if (this.#sources.size === 0) this.#refreshing?.()
    }
  }

  stop(): void {
    this.#stopped = true
    this.#planning?.()
    this.#refreshing?.()
  }

  /** Something changed: plans again, once, soon. */
  wake(): void {
    this.#planBy(this.#options.clock.now())
  }

  /** A worker reported, before its answer, that IDENTIFY left at `sentAt`: the bucket's clock starts there. */
  sent(cluster: string, shardId: number, sentAt: number): void {
    if (!this.info) return
    const isIt = ({ candidate }: Grant) => candidate.shardId === shardId && candidate.cluster === cluster
    const grant = [...this.#unsent].find(isIt)
    // A report that came late is about the attempt before, and this one is still to leave.
    if (!grant || sentAt < grant.slotAt - this.spacing / 2) return
    const known = this.#sentAt.get(grant)
    this.#sentAt.set(grant, Math.min(sentAt, known ?? sentAt))
    if (known !== undefined) return
    const { clock } = this.#options
    clock.after(sentAt + this.#schedule().window * HOLD - clock.now(), () => {
      if (this.#stopped || !this.#unsent.has(grant)) return
      this.#touch(sentAt, grant)
      this.wake()
    })
  }

  /** Asks for session info now, unless that is under way. */
  refresh(): void {
    if (this.#asking || this.#stopped) return
    this.#asking = true
    this.#refreshing?.()
    void this.#ask()
  }

  async #ask(): Promise<void> {
    const { sessionInfo, clock, random, logger } = this.#options
    const spentBefore = this.#spentEver
    this.#askedAt = clock.now()
    const answer = await sessionInfo.ask()
    this.#asking = false
    if (this.#stopped) return
    if (answer.ok) {
      this.#failures = 0
      this.problem = undefined
      this.#learn(answer.info, spentBefore)
    } else {
      this.#failures++
      if (this.problem?.message !== answer.problem.message) logger.warn(answer.problem, 'no session info')
      this.problem = answer.problem
    }
    const pause = answer.ok
      ? this.#untilRefresh()
      : backoffDelay(this.#failures, { baseMs: 2_000, capMs: REFRESH_MS, random })
    const atLeast = answer.ok ? 0 : (answer.problem.retryAfterMs ?? 0)
    if (this.#sources.size > 0) this.#refreshing = clock.after(Math.max(pause, atLeast), () => this.refresh())
    for (const source of this.#sources.values()) source.onSessionInfo()
    this.wake()
  }

  /** The next question: in a few minutes, or when Discord counts anew, if that is sooner. */
  #untilRefresh(): number {
    // Discord says 0 as long as nothing of the day was spent: taken at its word, it would be asked every second.
    const resetIn = this.info?.limit.resetAfter ?? 0
    return resetIn > 0 ? Math.min(REFRESH_MS, resetIn + 1_000) : REFRESH_MS
  }

  #learn(info: SessionInfo, spentBefore: number): void {
    const now = this.#options.clock.now()
    const { maxConcurrency } = info.limit
    if (this.info && this.info.limit.maxConcurrency !== maxConcurrency) {
      this.#rebucket(maxConcurrency)
      this.#options.logger.info({ maxConcurrency }, 'max_concurrency changed')
    }
    this.info = info
    this.#budget = observeBudget(info.limit, now, this.#spentEver - spentBefore)
    this.#resetTime = timeText(this.#options.clock, this.#budget.resetAt)
  }

  /** The same shard now falls into another bucket, of which nothing is known: everything under way passes first. */
  #rebucket(maxConcurrency: number): void {
    this.#buckets.clear()
    for (const grant of this.#unsent) {
      const bucket = bucketOf(grant.candidate.shardId, maxConcurrency)
      this.#buckets.set(bucket, { lastSentAt: Number.NEGATIVE_INFINITY, pending: grant })
    }
    this.#notBefore = this.#options.clock.now() + 2 * this.spacing
  }

  #schedule(): Schedule {
    let window = 0
    for (const source of this.#sources.values()) window = Math.max(window, source.windowMilliseconds)
    return {
      maxConcurrency: this.info?.limit.maxConcurrency ?? 1,
      window,
      margin: this.#margin.of(window),
      notBefore: this.#notBefore,
      lookahead: LOOKAHEAD_MS,
      buckets: this.#buckets,
    }
  }

  #planBy(at: number): void {
    if (this.#stopped || at >= this.#planAt) return
    this.#planning?.()
    this.#planAt = at
    this.#planning = this.#options.clock.after(at - this.#options.clock.now(), () => {
      this.#planAt = Number.POSITIVE_INFINITY
      this.#plan()
    })
  }

  #plan(): void {
    if (!this.info) return
    const plan = planIdentifies(
      this.#schedule(),
      this.#allCandidates(),
      this.#budget,
      this.#granted,
      this.#options.clock.now(),
    )
    if (this.shortOfBudget !== plan.shortOfBudget) {
      this.shortOfBudget = plan.shortOfBudget
      for (const source of this.#sources.values()) source.onSessionInfo()
    }
    for (const grant of plan.grants) void this.#grant(grant)
    if (plan.wakeAt !== undefined) this.#planBy(plan.wakeAt)
  }

  *#allCandidates(): Generator<Candidate> {
    for (const source of this.#sources.values()) yield* source.candidates()
  }

  async #grant(grant: Grant): Promise<void> {
    const source = this.#sources.get(grant.candidate.cluster)
    if (!source) return
    const lastSentAt = this.#buckets.get(grant.bucket)?.lastSentAt ?? Number.NEGATIVE_INFINITY
    this.#buckets.set(grant.bucket, { lastSentAt, pending: grant })
    this.#granted++
    this.#unsent.add(grant)
    const outcome = await source.start(grant)
    this.#granted--
    if (outcome.sentAt !== undefined || this.#sentAt.has(grant)) this.#count()
    if (outcome.tooEarly) this.#foundTooEarly(grant)
    this.#touch(this.#takenAt(grant, outcome), grant)
    this.wake()
  }

  /** When Discord took the IDENTIFY of the grant at the latest. */
  #takenAt(grant: Grant, { sentAt, answeredInMs }: IdentifyOutcome): number | undefined {
    const seen = this.#sentAt.get(grant)
    if (sentAt === undefined) return seen
    // Not known means: perhaps just now.
    if (sentAt === 'unknown') return seen ?? this.#options.clock.now()
    // Both the stream and the answer say how long ago it was, and were under way themselves: the earlier is the better.
    const earliest = Math.min(sentAt, seen ?? sentAt)
    return answeredInMs === undefined ? earliest : this.#margin.takenAt(earliest, answeredInMs, this.#schedule().window)
  }

  /** The last IDENTIFY of the grant's bucket left at `sentAt` or later, and this one is not still to leave. */
  #touch(sentAt: number | undefined, settled: Grant): void {
    this.#unsent.delete(settled)
    const maxConcurrency = this.info?.limit.maxConcurrency ?? 1
    const bucket = bucketOf(settled.candidate.shardId, maxConcurrency)
    const known = this.#buckets.get(bucket)
    this.#buckets.set(bucket, {
      lastSentAt: Math.max(known?.lastSentAt ?? Number.NEGATIVE_INFINITY, sentAt ?? Number.NEGATIVE_INFINITY),
      // More than one only after max_concurrency shrank.
      pending: [...this.#unsent].find(({ candidate }) => bucketOf(candidate.shardId, maxConcurrency) === bucket),
    })
  }

  #count(): void {
    this.#spentEver++
    if (this.#budget) this.#budget = spend(this.#budget)
  }

  /** Either the network delays more than was thought, or max_concurrency is no longer what it was. */
  #foundTooEarly({ candidate: { cluster, shardId }, slotAt }: Grant): void {
    if (slotAt > this.#askedAt) this.refresh()
    if (!this.#margin.tooEarly(this.#schedule().window)) return
    const { margin } = this.#schedule()
    this.#options.logger.warn({ cluster, shardId, marginMs: margin }, 'op 9: more time is left between IDENTIFYs')
  }

  /** When the last of the waiting shards will have identified, if nothing fails; on the injected clock. */
  estimatedEnd(): number | undefined {
    if (!this.info) return undefined
    return estimateEnd(this.#schedule(), this.#allCandidates(), this.#options.clock.now())
  }
}
