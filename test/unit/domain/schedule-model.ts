import { bucketOf } from '../../../src/domain/identify-order.ts'
import {
  type Bucket,
  byUrgency,
  type Candidate,
  type Grant,
  planIdentifies,
  type Schedule,
} from '../../../src/domain/identify-schedule.ts'
import { left, type StartBudget, spend } from '../../../src/domain/start-budget.ts'

export const aCandidate = (shardId: number, more: Partial<Candidate> = {}): Candidate => ({
  cluster: 'ns/bot',
  shardId,
  rank: shardId,
  recovering: false,
  notBefore: Number.NEGATIVE_INFINITY,
  reserve: 0,
  strict: false,
  ...more,
})

export const aSchedule = (more: Partial<Schedule> = {}): Schedule => ({
  maxConcurrency: 16,
  window: 5_000,
  margin: 50,
  notBefore: Number.NEGATIVE_INFINITY,
  lookahead: 10_000,
  buckets: new Map(),
  ...more,
})

export const aBudget = (remaining: number): StartBudget => ({ total: 1_000, remaining, resetAt: 86_400_000, spent: 0 })

/** One random decision of the world: how long until the next plan, and what becomes of the grants that are due. */
export interface Step {
  readonly waitMs: number
  readonly outcome: 'ready' | 'spent in vain' | 'not sent' | 'hangs'
}

/** Lives by planIdentifies as the manager does, and keeps what Discord would see. */
export class ScheduleModel {
  readonly sent: { readonly grant: Grant; readonly at: number; readonly budgetLeft: number }[] = []
  readonly waiting: Map<string, Candidate>
  readonly #schedule: Schedule
  readonly #buckets = new Map<number, Bucket>()
  #underWay: Grant[] = []
  budget: StartBudget
  now = 0

  constructor(candidates: readonly Candidate[], schedule: Schedule, budget: StartBudget) {
    this.waiting = new Map(candidates.map((candidate) => [keyOf(candidate), candidate]))
    this.#schedule = schedule
    this.budget = budget
  }

  get schedule(): Schedule {
    return { ...this.#schedule, buckets: this.#buckets }
  }

  get hanging(): readonly Grant[] {
    return this.#underWay
  }

  plan(): readonly Grant[] {
    const { grants } = planIdentifies(
      this.schedule,
      this.waiting.values(),
      this.budget,
      this.#underWay.length,
      this.now,
    )
    for (const grant of grants) {
      const { lastSentAt, turns } = this.#bucket(grant)
      const taken = new Map(turns).set(grant.candidate.cluster, grant.slotAt)
      this.#buckets.set(grant.bucket, { lastSentAt, pending: grant, turns: taken })
      this.waiting.delete(keyOf(grant.candidate))
      this.#underWay.push(grant)
    }
    return grants
  }

  /** Plans, lets time pass, and decides about every grant whose slot came. */
  step({ waitMs, outcome }: Step): readonly Grant[] {
    const grants = this.plan()
    this.now += waitMs
    const due = this.#underWay.filter(({ slotAt }) => slotAt <= this.now)
    if (outcome === 'hangs') return grants
    for (const grant of due.sort((a, b) => a.slotAt - b.slotAt)) this.#settle(grant, outcome)
    return grants
  }

  #settle(grant: Grant, outcome: Step['outcome']): void {
    this.#underWay = this.#underWay.filter((other) => other !== grant)
    const known = this.#bucket(grant)
    const sentAt = outcome === 'not sent' ? known.lastSentAt : grant.slotAt
    if (outcome !== 'not sent') {
      this.budget = spend(this.budget)
      this.sent.push({ grant, at: grant.slotAt, budgetLeft: left(this.budget) })
    }
    this.#buckets.set(grant.bucket, { ...known, lastSentAt: sentAt, pending: undefined })
    if (outcome !== 'ready') this.waiting.set(keyOf(grant.candidate), grant.candidate)
  }

  #bucket({ bucket }: Grant): Bucket {
    return this.#buckets.get(bucket) ?? { lastSentAt: Number.NEGATIVE_INFINITY, pending: undefined }
  }

  /** The best of those that wait in the bucket of `candidate`, of the same ShardCluster. */
  bestBeside({ shardId, cluster }: Candidate): Candidate | undefined {
    const { maxConcurrency } = this.#schedule
    return [...this.waiting.values()]
      .filter((other) => other.cluster === cluster)
      .filter((other) => bucketOf(other.shardId, maxConcurrency) === bucketOf(shardId, maxConcurrency))
      .sort(byUrgency)[0]
  }
}

const keyOf = ({ cluster, shardId }: Candidate): string => `${cluster}#${shardId}`
