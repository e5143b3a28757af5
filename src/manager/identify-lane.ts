import { randomUUID } from 'node:crypto'
import { bucketOf } from '../domain/identify-order.ts'
import {
  type Bucket,
  type Candidate,
  estimateEnd,
  type Grant,
  planIdentifies,
  type Schedule,
} from '../domain/identify-schedule.ts'
import { background, guarded } from '../support/background.ts'
import type { Cancel, Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { IdentifyMargin } from './identify-margin.ts'
import type { IdentifyOutcome, IdentifySource } from './identify-source.ts'
import { LaneMember, type SharedLane } from './lane-member.ts'
import { commonWindow, LaneMembers } from './lane-members.ts'
import { OpenGrants } from './open-grants.ts'
import type { SessionInfo, SessionInfoSource } from './session-info.ts'

export interface LaneOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** When this process began to lead, on the injected clock. */
  readonly leadingSince: number
}

/** Slots are given to workers at most this long before: time to open a socket, not to outdate a decision. Milliseconds. */
const LOOKAHEAD_MS = 10_000

/** READY is waited for this long, as part of the window, before the next slot of the bucket is given: it tells when Discord took IDENTIFY. */
const HOLD = 0.5

/** max_concurrency that several say grows once in this time at most, in milliseconds; it shrinks at once. */
const GROWS_AGAIN_MS = 5 * 60_000

/**
 * A permit whose IDENTIFY did not leave for so long after its slot is taken back when others wait for the bucket, in
 * milliseconds: three of Discord's windows, because a worker may be slow, and may not have heard yet that nobody waits.
 */
const PATIENCE_MS = 15_000

/** Its ShardCluster has its next turn in that bucket so much later, in milliseconds, if others want it. */
const TURN_LOST_MS = 60_000

/**
 * The IDENTIFYs of one bot: its buckets and its daily budget, shared by its ShardClusters, each of which has its turn.
 * Of what their REST proxies say of the limits the strictest counts.
 * Decides by planIdentifies; all it adds is time, and what became of the grants.
 */
export class IdentifyLane implements SharedLane {
  readonly id = randomUUID()
  readonly #options: LaneOptions
  readonly #members: LaneMembers
  readonly #buckets = new Map<number, Bucket>()
  /** What the buckets were reckoned with. */
  #concurrency: number | undefined
  /** Not taken for larger before this, on the injected clock, where several say what it is. */
  #growsAt = Number.NEGATIVE_INFINITY
  #shortOfBudget: ReadonlySet<string> = new Set()
  readonly #unsent = new OpenGrants()
  #granted = 0
  readonly #margin: IdentifyMargin
  #notBefore = Number.NEGATIVE_INFINITY
  #planning: Cancel | undefined
  #planAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(options: LaneOptions) {
    this.#options = options
    this.#margin = new IdentifyMargin(options.clock)
    this.#members = new LaneMembers(options.clock)
  }

  get maxConcurrency(): number | undefined {
    return this.#concurrency
  }

  get spent(): number {
    return this.#members.spent
  }

  get budget(): LaneMembers['budget'] {
    return this.#members.budget
  }

  isShortOfBudget(cluster: string): boolean {
    return this.#shortOfBudget.has(cluster)
  }

  /** Milliseconds between two IDENTIFYs of a bucket. */
  get spacing(): number {
    const { window, margin } = this.#schedule()
    return window + margin
  }

  /** A ShardCluster of this bot, which asks `sessionInfo`. One that is in it already stays, and asks that from now on. */
  join(cluster: string, sessionInfo: SessionInfoSource): LaneMember {
    const known = this.#members.get(cluster)
    if (known) {
      known.ask(sessionInfo)
      return known
    }
    const { clock, random, logger } = this.#options
    const member = new LaneMember({ cluster, clock, random, logger, lane: this, sessionInfo })
    this.#members.add(member)
    return member
  }

  /** The ShardCluster is gone: what it said counts no more. */
  leave(member: LaneMember): void {
    this.#members.delete(member)
    this.#recount()
  }

  entered({ windowMilliseconds }: IdentifySource): void {
    // A new leader does not know when its predecessor's last IDENTIFY left, nor one that is still under way.
    const window = commonWindow(windowMilliseconds)
    this.#notBefore = Math.max(this.#notBefore, this.#options.leadingSince + window + this.#margin.of(window))
  }

  /**
   * Takes over what `other` knows of its buckets: a ShardCluster came from there, with a new token of the same bot. What
   * is under way there counts as sent now.
   */
  inherit(other: IdentifyLane): void {
    const now = this.#options.clock.now()
    for (const [bucket, { lastSentAt, pending }] of other.#buckets) {
      const known = this.#buckets.get(bucket)
      const latest = Math.min(now, Math.max(known?.lastSentAt ?? Number.NEGATIVE_INFINITY, pending ? now : lastSentAt))
      this.#buckets.set(bucket, { pending: undefined, ...known, lastSentAt: latest })
    }
  }

  stop(): void {
    this.#stopped = true
    this.#planning?.()
    for (const member of this.#members) member.stop()
  }

  /** Something changed: plans again, once, soon. */
  wake(): void {
    this.#planBy(this.#options.clock.now())
  }

  /** A worker reported, before its answer, that IDENTIFY left at `sentAt`: the bucket's clock starts there. */
  sent(cluster: string, shardId: number, sentAt: number): void {
    const grant = this.#unsent.find(cluster, shardId)
    // A report that came late is about the attempt before, and this one is still to leave.
    if (!grant || sentAt < grant.slotAt - this.spacing / 2) return
    if (!this.#unsent.reported(grant, sentAt)) return
    const { clock } = this.#options
    clock.after(sentAt + this.#schedule().window * HOLD - clock.now(), () => {
      if (this.#stopped || !this.#unsent.has(grant)) return
      this.#touch(sentAt, grant)
      this.wake()
    })
  }

  learn(member: LaneMember, info: SessionInfo, spentBefore: number): void {
    this.#members.learn(member, info, spentBefore)
    this.#recount()
  }

  /** Whether max_concurrency is no longer what the buckets were reckoned with. */
  #recount(): void {
    const { maxConcurrency, clusters } = this.#members
    const before = this.#concurrency
    if (maxConcurrency === undefined || before === maxConcurrency) return
    const now = this.#options.clock.now()
    // Everything waits while the buckets change: one whose proxy says now this and now that must not keep the others so.
    if (before !== undefined && before < maxConcurrency && clusters.length > 1 && now < this.#growsAt) return
    this.#growsAt = now + GROWS_AGAIN_MS
    this.#concurrency = maxConcurrency
    if (before === undefined) return
    this.#rebucket(maxConcurrency)
    this.#options.logger.info({ maxConcurrency, clusters }, 'max_concurrency changed')
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
    const { window, slower } = this.#members.windows()
    return {
      ...{ window, slower, margin: this.#margin.of(window) },
      maxConcurrency: this.#concurrency ?? 1,
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
      guarded(() => this.#plan(), this.#options.logger, 'identify plan')
    })
  }

  #plan(): void {
    if (this.#concurrency === undefined) return
    const candidates = [...this.#allCandidates()]
    const { clock, logger } = this.#options
    this.#unsent.takeBack(clock.now() - PATIENCE_MS, candidates, this.#concurrency)
    const { ledger } = this.#members
    const plan = planIdentifies(this.#schedule(), candidates, ledger, this.#granted, clock.now())
    const before = this.#shortOfBudget
    this.#shortOfBudget = plan.shortOfBudget
    for (const { cluster, source } of this.#members)
      if (before.has(cluster) !== plan.shortOfBudget.has(cluster)) source?.onSessionInfo()
    for (const grant of plan.grants) background(this.#grant(grant), logger, 'identify grant')
    if (plan.wakeAt !== undefined) this.#planBy(plan.wakeAt)
  }

  *#allCandidates(): Generator<Candidate> {
    for (const { source } of this.#members) if (source) yield* source.candidates()
  }

  async #grant(grant: Grant): Promise<void> {
    const { cluster } = grant.candidate
    const source = this.#members.get(cluster)?.source
    if (!source) return
    const { clock } = this.#options
    const known = this.#buckets.get(grant.bucket)
    const turns = new Map(known?.turns).set(cluster, grant.slotAt)
    const lastSentAt = known?.lastSentAt ?? Number.NEGATIVE_INFINITY
    this.#buckets.set(grant.bucket, { lastSentAt, pending: grant, turns })
    this.#granted++
    const taken = this.#unsent.open(grant)
    const forget = clock.after(grant.slotAt + PATIENCE_MS + 1 - clock.now(), () => this.wake())
    const outcome = await source.start(grant, taken)
    forget()
    this.#granted--
    if (outcome.sentAt !== undefined || this.#unsent.sentAt(grant) !== undefined) this.#members.spend()
    if (outcome.tooEarly) this.#foundTooEarly(grant)
    if (taken.aborted) this.#loseTurn(grant)
    this.#touch(this.#takenAt(grant, outcome, taken.aborted), grant)
    this.wake()
  }

  #loseTurn({ bucket, candidate: { cluster } }: Grant): void {
    const known = this.#buckets.get(bucket)
    const turns = new Map(known?.turns).set(cluster, this.#options.clock.now() + TURN_LOST_MS)
    if (known) this.#buckets.set(bucket, { ...known, turns })
  }

  /** When Discord took the IDENTIFY of the grant at the latest. */
  #takenAt(grant: Grant, { sentAt, answeredInMs }: IdentifyOutcome, takenBack: boolean): number | undefined {
    const seen = this.#unsent.sentAt(grant)
    if (sentAt === undefined) return seen
    // Not known means: perhaps just now; or soon, by a slow worker that has not heard yet that the permit was taken back.
    const { window } = this.#schedule()
    if (sentAt === 'unknown') return seen ?? this.#options.clock.now() + (takenBack ? window : 0)
    // Both the stream and the answer say how long ago it was, and were under way themselves: the earlier is the better.
    const earliest = Math.min(sentAt, seen ?? sentAt)
    return answeredInMs === undefined ? earliest : this.#margin.takenAt(earliest, answeredInMs, window)
  }

  /** The last IDENTIFY of the grant's bucket left at `sentAt` or later, and this one is not still to leave. */
  #touch(sentAt: number | undefined, settled: Grant): void {
    this.#unsent.close(settled)
    const maxConcurrency = this.#concurrency ?? 1
    const bucket = bucketOf(settled.candidate.shardId, maxConcurrency)
    const known = this.#buckets.get(bucket)
    this.#buckets.set(bucket, {
      ...known,
      lastSentAt: Math.max(known?.lastSentAt ?? Number.NEGATIVE_INFINITY, sentAt ?? Number.NEGATIVE_INFINITY),
      pending: this.#unsent.inBucket(bucket, maxConcurrency),
    })
  }

  /** Either the network delays more than was thought, or max_concurrency is no longer what it was. */
  #foundTooEarly({ candidate: { cluster, shardId }, slotAt }: Grant): void {
    this.#members.get(cluster)?.refresh(slotAt)
    if (!this.#margin.tooEarly(this.#schedule().window)) return
    const { margin } = this.#schedule()
    this.#options.logger.warn({ cluster, shardId, marginMs: margin }, 'op 9: more time is left between IDENTIFYs')
  }

  /** When the last of the waiting shards of `cluster` will have identified, if nothing fails; on the injected clock. */
  estimatedEnd(cluster: string): number | undefined {
    if (this.#concurrency === undefined) return undefined
    return estimateEnd(this.#schedule(), this.#allCandidates(), this.#options.clock.now(), cluster)
  }
}
