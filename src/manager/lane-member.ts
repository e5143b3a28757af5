import type { StartBudget } from '../domain/start-budget.ts'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { IdentifySource } from './identify-source.ts'
import type { SessionInfo, SessionInfoProblem, SessionInfoSource } from './session-info.ts'
import { SessionInfoWatch } from './session-info-watch.ts'

/** What the ShardClusters of a bot share, as one of them sees it. */
export interface SharedLane {
  /** Tells this lane from all others of the process, and says nothing else. */
  readonly id: string
  /** Buckets: Discord's max_concurrency, or what divides all that the members heard; undefined before the first answer. */
  readonly maxConcurrency: number | undefined
  /** IDENTIFYs left today, the least of what any member heard, and when they are counted anew (RFC 3339). */
  readonly budget: { readonly left: number; readonly total: number; readonly resetTime: string } | undefined
  /** IDENTIFYs that left, or may have, since the lane began. */
  readonly spent: number
  /** Whether a shard of this ShardCluster waits only for the budget. */
  isShortOfBudget(cluster: string): boolean
  /** The shards of a member come in. */
  entered(source: IdentifySource): void
  /** What the REST proxy of a member said. `spentBefore`: `spent` when the question left. */
  learn(member: LaneMember, info: SessionInfo, spentBefore: number): void
  /** Something changed: plans again, once, soon. */
  wake(): void
  /** A worker reported, before its answer, that IDENTIFY left at `sentAt`: the bucket's clock starts there. */
  sent(cluster: string, shardId: number, sentAt: number): void
  /** When the last of the waiting shards of `cluster` will have identified, if nothing fails; on the injected clock. */
  estimatedEnd(cluster: string): number | undefined
}

export interface MemberOptions {
  /** `namespace/name`. */
  readonly cluster: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lane: SharedLane
  readonly sessionInfo: SessionInfoSource
}

/**
 * A ShardCluster in the lane of its bot. What its REST proxy says of the gateway's address and the number of shards is
 * its own; buckets and budget are the lane's.
 */
export class LaneMember {
  readonly cluster: string
  readonly lane: SharedLane
  /** Its ledger of the day, kept by the lane; undefined before the first answer. */
  ledger: StartBudget | undefined
  /** Whose shards identify; undefined: nobody's at present. */
  source: IdentifySource | undefined
  readonly #watch: SessionInfoWatch

  constructor({ cluster, clock, random, logger, lane, sessionInfo }: MemberOptions) {
    this.cluster = cluster
    this.lane = lane
    let spentBefore = 0
    this.#watch = new SessionInfoWatch(sessionInfo, {
      ...{ cluster, clock, random, logger },
      onAsk: () => {
        spentBefore = lane.spent
      },
      onAnswer: (info) => {
        if (info) lane.learn(this, info, spentBefore)
        this.source?.onSessionInfo()
        lane.wake()
      },
    })
  }

  /** What its REST proxy said last; undefined before the first answer. */
  get info(): SessionInfo | undefined {
    return this.#watch.info
  }

  /** Why its REST proxy was no help when it was asked last. */
  get problem(): SessionInfoProblem | undefined {
    return this.#watch.problem
  }

  /** Discord's max_concurrency, as strict as all that the lane's members heard; undefined before the own proxy answered. */
  get maxConcurrency(): number | undefined {
    return this.info && this.lane.maxConcurrency
  }

  /** IDENTIFYs left today, and when they are counted anew (RFC 3339); undefined before the own proxy answered. */
  get budget(): SharedLane['budget'] {
    return this.info && this.lane.budget
  }

  /** Some shard waits only for the budget. */
  get shortOfBudget(): boolean {
    return this.lane.isShortOfBudget(this.cluster)
  }

  /** @returns what takes the ShardCluster out again. */
  register(source: IdentifySource): () => void {
    const alone = this.source === undefined
    this.source = source
    this.lane.entered(source)
    // Nobody asked while nobody was here.
    if (alone || this.info === undefined) this.#watch.start()
    this.lane.wake()
    return () => {
      if (this.source !== source) return
      this.source = undefined
      this.#watch.stop()
    }
  }

  /** Asks another REST proxy, or with another key, at once. */
  ask(sessionInfo: SessionInfoSource): void {
    this.#watch.ask(sessionInfo)
  }

  /** Asks now, unless it was asked since `since`, on the injected clock. */
  refresh(since = Number.POSITIVE_INFINITY): void {
    if (since > this.#watch.askedAt) this.#watch.refresh()
  }

  stop(): void {
    this.#watch.stop()
  }

  /** Something changed: plans again, once, soon. */
  wake(): void {
    this.lane.wake()
  }

  /** See SharedLane. */
  sent(shardId: number, sentAt: number): void {
    this.lane.sent(this.cluster, shardId, sentAt)
  }

  /** When the last of its waiting shards will have identified, if nothing fails; on the injected clock. */
  estimatedEnd(): number | undefined {
    return this.info && this.lane.estimatedEnd(this.cluster)
  }
}
