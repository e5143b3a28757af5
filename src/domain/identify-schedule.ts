import { bucketOf } from './identify-order.ts'
import { type StartBudget, spendable } from './start-budget.ts'

/**
 * When which shard identifies.
 *
 * Steps: (1) a bucket that has no IDENTIFY under way takes the best of the shards that wait for it: those that lost a
 * session before those that never had one, shard 0 before all, then by rank; (2) its slot is one window (and a margin)
 * after the last IDENTIFY of the bucket was *sent*; (3) no more is granted than the budget has above the reserve.
 *
 * Properties: a bucket never has two IDENTIFYs within a window; the budget never falls below the reserve; planning
 * again without news grants nothing; inside a bucket the order is kept; a shard that hangs holds up its bucket only.
 */

/** A shard that needs a new session and can be told to identify now. */
export interface Candidate {
  /** Whose shard it is: ShardClusters of one bot share the buckets. */
  readonly cluster: string
  readonly shardId: number
  /** See rankOf. */
  readonly rank: number
  /** It was READY before: it comes before those that never were. */
  readonly recovering: boolean
  /** Not before this, after a failure; on the injected clock (milliseconds). */
  readonly notBefore: number
  /** IDENTIFYs that its ShardCluster leaves untouched. */
  readonly reserve: number
  /** Its ShardCluster wants wave after wave. */
  readonly strict: boolean
}

/** What is known of one bucket. */
export interface Bucket {
  /** The last IDENTIFY was sent no later than this (milliseconds on the injected clock); -Infinity: never. */
  readonly lastSentAt: number
  /** An IDENTIFY that is granted and whose sending was not confirmed yet. */
  readonly pending: Grant | undefined
}

export interface Schedule {
  readonly maxConcurrency: number
  /** Milliseconds; Discord's is 5,000. */
  readonly window: number
  /** Milliseconds added to the window; grows when Discord answers op 9. */
  readonly margin: number
  /** A new leader waits one window, because it does not know when its predecessor's last IDENTIFY left. */
  readonly notBefore: number
  /** A slot is granted at most this long before it, in milliseconds: a worker takes no more than MAX_SLOT_MS. */
  readonly lookahead: number
  readonly buckets: ReadonlyMap<number, Bucket>
}

/** An IDENTIFY that shall leave exactly at `slotAt` (milliseconds on the injected clock). */
export interface Grant {
  readonly candidate: Candidate
  readonly bucket: number
  readonly slotAt: number
}

export interface Plan {
  readonly grants: readonly Grant[]
  /** Some shard waits only for the budget. */
  readonly shortOfBudget: boolean
  /** When planning again can grant something that waits for time alone; undefined: only news can. */
  readonly wakeAt: number | undefined
}

/** The earliest time at which a bucket takes the next IDENTIFY. */
export function freeAt(schedule: Schedule, bucket: number): number {
  const known = schedule.buckets.get(bucket)
  return Math.max(
    schedule.notBefore,
    known ? known.lastSentAt + schedule.window + schedule.margin : Number.NEGATIVE_INFINITY,
  )
}

/** Negative when `a` goes first. */
export function byUrgency(a: Candidate, b: Candidate): number {
  if (a.recovering !== b.recovering) return a.recovering ? -1 : 1
  if (a.recovering && (a.shardId === 0) !== (b.shardId === 0)) return a.shardId === 0 ? -1 : 1
  if (a.rank !== b.rank) return a.rank - b.rank
  return a.cluster < b.cluster ? -1 : a.cluster > b.cluster ? 1 : a.shardId - b.shardId
}

/** What to grant at `now` (milliseconds on the injected clock). `granted`: IDENTIFYs under way that the budget has not counted. */
export function planIdentifies(
  schedule: Schedule,
  candidates: Iterable<Candidate>,
  budget: StartBudget | undefined,
  granted: number,
  now: number,
): Plan {
  const { best, wakeAt: backedOffUntil } = bestOfEachBucket(schedule, candidates, now)
  let wakeAt = backedOffUntil
  const grants: Grant[] = []
  let shortOfBudget = false
  for (const [bucket, candidate] of [...best].sort(([, a], [, b]) => byUrgency(a, b))) {
    if (spendable(budget, candidate.reserve, granted + grants.length) < 1) {
      shortOfBudget = true
      continue
    }
    const slotAt = Math.max(now, freeAt(schedule, bucket))
    if (slotAt - now > schedule.lookahead) wakeAt = Math.min(wakeAt ?? slotAt, slotAt - schedule.lookahead)
    else grants.push({ candidate, bucket, slotAt })
  }
  return { grants, shortOfBudget, wakeAt }
}

/** When the last of the candidates will have identified, if nothing fails; undefined when there are none. */
export function estimateEnd(schedule: Schedule, candidates: Iterable<Candidate>, now: number): number | undefined {
  const perBucket = new Map<number, number>()
  for (const { shardId } of candidates) {
    const bucket = bucketOf(shardId, schedule.maxConcurrency)
    perBucket.set(bucket, (perBucket.get(bucket) ?? 0) + 1)
  }
  let end: number | undefined
  for (const [bucket, waiting] of perBucket) {
    const last = Math.max(now, freeAt(schedule, bucket)) + (waiting - 1) * (schedule.window + schedule.margin)
    end = Math.max(end ?? now, last)
  }
  return end
}

function bestOfEachBucket(schedule: Schedule, candidates: Iterable<Candidate>, now: number) {
  const all = [...candidates]
  const wave = strictWaves(all, now)
  const best = new Map<number, Candidate>()
  let wakeAt: number | undefined
  for (const candidate of all) {
    const bucket = bucketOf(candidate.shardId, schedule.maxConcurrency)
    if (schedule.buckets.get(bucket)?.pending) continue
    // First, because a shard that backs off is in no wave: if all do, the end of the first back-off is what to wait for.
    if (candidate.notBefore > now) {
      wakeAt = Math.min(wakeAt ?? Number.POSITIVE_INFINITY, candidate.notBefore)
      continue
    }
    if (!candidate.recovering && candidate.strict && candidate.rank > (wave.get(candidate.cluster) ?? 0)) continue
    const other = best.get(bucket)
    if (!other || byUrgency(candidate, other) < 0) best.set(bucket, candidate)
  }
  return { best, wakeAt }
}

/**
 * The wave that each strict ShardCluster is at: the lowest that has a shard waiting. Neither shards that recover nor
 * one that backs off after a failure (up to a quarter of an hour) hold it back.
 */
function strictWaves(candidates: readonly Candidate[], now: number): Map<string, number> {
  const waves = new Map<string, number>()
  for (const { strict, recovering, cluster, rank, notBefore } of candidates) {
    if (strict && !recovering && notBefore <= now)
      waves.set(cluster, Math.min(waves.get(cluster) ?? Number.POSITIVE_INFINITY, rank))
  }
  return waves
}
