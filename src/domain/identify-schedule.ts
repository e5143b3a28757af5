import { bucketOf } from './identify-order.ts'
import { type StartBudget, spendable } from './start-budget.ts'

/**
 * When which shard identifies.
 *
 * Steps: (1) a bucket that has no IDENTIFY under way turns to the ShardCluster whose turn was longest ago; (2) it takes
 * the best of that one's shards that wait for it: those that lost a session before those that never had one, shard 0
 * before all, then by rank; (3) its slot is one window (and a margin) after the last IDENTIFY of the bucket was *sent*;
 * (4) no more is granted than the budget has above the reserve.
 *
 * Properties: a bucket never has two IDENTIFYs within a window; of k ShardClusters that wait for a bucket each gets one
 * of any k of its slots, whatever the others want; the budget never falls below the reserve; planning again without news
 * grants nothing; inside a bucket the order of a ShardCluster is kept; a shard that hangs holds up its bucket only.
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
  /** The last slot of each ShardCluster that had one, on the injected clock. */
  readonly turns?: ReadonlyMap<string, number>
}

export interface Schedule {
  readonly maxConcurrency: number
  /** Milliseconds; Discord's is 5,000. */
  readonly window: number
  /** ShardClusters that leave more time than that between two IDENTIFYs of their own, in milliseconds: nobody else waits for it. */
  readonly slower?: ReadonlyMap<string, number>
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
  /** ShardClusters of which some shard waits only for the budget. */
  readonly shortOfBudget: ReadonlySet<string>
  /** When planning again can grant something that waits for time alone; undefined: only news can. */
  readonly wakeAt: number | undefined
}

/** The earliest time at which a bucket takes the next IDENTIFY, if it is one of `cluster`. */
export function freeAt(schedule: Schedule, bucket: number, cluster: string): number {
  const { buckets, notBefore, window, margin, slower } = schedule
  const { lastSentAt = Number.NEGATIVE_INFINITY, turns } = buckets.get(bucket) ?? {}
  const ownTurn = slower?.has(cluster) ? turns?.get(cluster) : undefined
  const own = ownTurn === undefined ? Number.NEGATIVE_INFINITY : ownTurn + (slower?.get(cluster) ?? 0) + margin
  return Math.max(notBefore, lastSentAt + window + margin, own)
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
  const affords = ({ reserve }: Candidate, more = 0) => spendable(budget, reserve, granted + more) >= 1
  const { best, shortOfBudget, wakeAt: backedOffUntil } = bestOfEachBucket(schedule, candidates, affords, now)
  let wakeAt = backedOffUntil
  const grants: Grant[] = []
  for (const [bucket, candidate] of [...best].sort(([, a], [, b]) => byUrgency(a, b))) {
    if (!affords(candidate, grants.length)) {
      shortOfBudget.add(candidate.cluster)
      continue
    }
    const slotAt = Math.max(now, freeAt(schedule, bucket, candidate.cluster))
    if (slotAt - now > schedule.lookahead) wakeAt = Math.min(wakeAt ?? slotAt, slotAt - schedule.lookahead)
    else grants.push({ candidate, bucket, slotAt })
  }
  return { grants, shortOfBudget, wakeAt }
}

/**
 * When the last of the candidates of `cluster` will have identified, if nothing fails; undefined when there are none.
 * Those of others take turns with them.
 */
export function estimateEnd(
  schedule: Schedule,
  candidates: Iterable<Candidate>,
  now: number,
  cluster: string,
): number | undefined {
  const perBucket = new Map<number, Map<string, number>>()
  for (const candidate of candidates) {
    const bucket = bucketOf(candidate.shardId, schedule.maxConcurrency)
    const waiting = perBucket.get(bucket) ?? new Map<string, number>()
    waiting.set(candidate.cluster, (waiting.get(candidate.cluster) ?? 0) + 1)
    perBucket.set(bucket, waiting)
  }
  const { window, margin, slower } = schedule
  let end: number | undefined
  for (const [bucket, waiting] of perBucket) {
    const own = waiting.get(cluster)
    if (own === undefined) continue
    let slots = 0
    for (const count of waiting.values()) slots += Math.min(count, own)
    const shared = (slots - 1) * (window + margin)
    const alone = (own - 1) * ((slower?.get(cluster) ?? window) + margin)
    const last = Math.max(now, freeAt(schedule, bucket, cluster)) + Math.max(shared, alone)
    end = Math.max(end ?? now, last)
  }
  return end
}

function bestOfEachBucket(
  schedule: Schedule,
  candidates: Iterable<Candidate>,
  affords: (candidate: Candidate) => boolean,
  now: number,
) {
  const all = [...candidates]
  const wave = strictWaves(all, now)
  const best = new Map<number, Candidate>()
  const shortOfBudget = new Set<string>()
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
    // It holds up nobody whose reserve is smaller.
    if (!affords(candidate)) {
      shortOfBudget.add(candidate.cluster)
      continue
    }
    const other = best.get(bucket)
    if (!other || byTurn(schedule, bucket, now, candidate, other) < 0) best.set(bucket, candidate)
  }
  return { best, shortOfBudget, wakeAt }
}

/**
 * Negative when `a` goes first in the bucket: whose slot is sooner, then whose turn was longest ago, then who is more
 * urgent. Turns come before urgency, because how urgent its shards are, and how many there are, is what a ShardCluster
 * says of itself.
 */
function byTurn(schedule: Schedule, bucket: number, now: number, a: Candidate, b: Candidate): number {
  if (a.cluster === b.cluster) return byUrgency(a, b)
  const slotOf = ({ cluster }: Candidate) => Math.max(now, freeAt(schedule, bucket, cluster))
  const turnOf = ({ cluster }: Candidate) => schedule.buckets.get(bucket)?.turns?.get(cluster) ?? -1e15
  return slotOf(a) - slotOf(b) || turnOf(a) - turnOf(b) || byUrgency(a, b)
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
