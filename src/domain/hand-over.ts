import { ownerOf, type Range, rangeOf, rangesFrom, shardsOf } from './ranges.ts'

/**
 * Who is told to release or to hold which shards.
 *
 * Steps: (1) a worker is assigned its whole range, except the shards that still live, or may live, elsewhere; those
 * are withheld until they are released; (2) a worker that holds a shard which another shall hold releases it, once
 * that other one took our word and everything it was given before: until then it goes on serving. A shard whose
 * IDENTIFY is under way is released after it, because closing it would waste one. Only a release ever closes a shard.
 *
 * Properties: no shard is ever assigned while another worker may hold it; a shard whose worker stays is not touched;
 * planning again after nothing happened gives the same plan; when nothing has to change the plan is empty.
 */

/** What is known of one worker. */
export interface WorkerFacts {
  readonly ordinal: number
  /** It answers: its state stream is open and its snapshot was read. */
  readonly connected: boolean
  /** It closes its shards by itself and takes no more commands. */
  readonly draining: boolean
  /** Shards that it holds, in whatever state; of a worker that does not answer, those it may hold. */
  readonly held: ReadonlySet<number>
  /** Those of them that have a permit to IDENTIFY, or wait for READY. */
  readonly identifying: ReadonlySet<number>
  /** Shards that it holds without a session although one is known, which it was not given yet. */
  readonly owed: ReadonlySet<number>
  /** Shards that it gave up and that no worker holds yet: it may be the last to keep their sessions. */
  readonly parted: ReadonlySet<number>
  /** What it was told last, by this leader; undefined: nothing yet. */
  readonly assigned:
    | { readonly range: Range; readonly withhold: readonly Range[]; readonly gatewayKey: string }
    | undefined
}

/** What shall be. */
export interface Target {
  readonly totalShards: number
  readonly totalWorkers: number
  /** Changes when the gateway options do. */
  readonly gatewayKey: string
  /** Shards that one worker releases in one go, at most: the gap of a shard grows with it. */
  readonly batch: number
}

export interface HandOverPlan {
  readonly releases: readonly { readonly ordinal: number; readonly shardIds: readonly number[] }[]
  readonly assigns: readonly { readonly ordinal: number; readonly range: Range; readonly withhold: readonly Range[] }[]
}

/** The next commands for these workers. `busy`: ordinals that have a command under way; they are left alone. */
export function planHandOver(workers: readonly WorkerFacts[], target: Target, busy: ReadonlySet<number>): HandOverPlan {
  const holders = holdersOf(workers)
  const takers = new Set(
    workers.filter((w) => !busy.has(w.ordinal) && takes(w, target, holders)).map(({ ordinal }) => ordinal),
  )
  const releases: HandOverPlan['releases'][number][] = []
  const assigns: HandOverPlan['assigns'][number][] = []
  for (const worker of workers) {
    if (!listens(worker) || busy.has(worker.ordinal)) continue
    const assign = assignmentOf(worker, target, holders)
    if (assign) {
      assigns.push(assign)
      continue
    }
    const shardIds = [...worker.held]
      .filter((shardId) => !worker.identifying.has(shardId) && misplaced(shardId, worker.ordinal, target))
      .filter((shardId) => takers.has(newOwner(shardId, target)))
      .slice(0, target.batch)
    if (shardIds.length > 0) releases.push({ ordinal: worker.ordinal, shardIds })
  }
  return { releases, assigns }
}

/**
 * Whether a worker beyond `totalWorkers` can go without a shard being cut off or a session being lost: it said itself
 * that it holds none, and what it gave up has arrived.
 */
export function removable(worker: WorkerFacts): boolean {
  return (worker.connected || worker.draining) && worker.held.size === 0 && worker.parted.size === 0
}

/** The ordinal that shall hold the shard; -1: none. */
export const newOwner = (shardId: number, { totalShards, totalWorkers }: Target): number =>
  shardId < totalShards ? ownerOf(shardId, totalShards, totalWorkers) : -1

const misplaced = (shardId: number, ordinal: number, target: Target): boolean => newOwner(shardId, target) !== ordinal

const listens = ({ connected, draining }: WorkerFacts): boolean => connected && !draining

/**
 * Whether a worker can be given more. One that refuses its assignment, or has not taken what was released for it, would
 * leave shard after shard without a home until their sessions are too old to resume.
 */
function takes(worker: WorkerFacts, { totalShards, totalWorkers }: Target, holders: Holders): boolean {
  if (!listens(worker) || worker.assigned === undefined) return false
  for (const shardId of shardsOf(rangeOf(worker.ordinal, totalShards, totalWorkers)))
    if (!holders.has(shardId)) return false
  return true
}

type Holders = ReadonlyMap<number, readonly WorkerFacts[]>

function holdersOf(workers: readonly WorkerFacts[]): Holders {
  const holders = new Map<number, WorkerFacts[]>()
  for (const worker of workers) {
    for (const shardId of worker.held) {
      const known = holders.get(shardId)
      if (known) known.push(worker)
      else holders.set(shardId, [worker])
    }
  }
  return holders
}

/** What a worker says it holds outweighs what others, which do not answer, may hold. */
const livesElsewhere = (shardId: number, worker: WorkerFacts, holders: Holders): boolean =>
  holders.get(shardId)?.some((other) => other !== worker && (other.connected || !worker.held.has(shardId))) === true

function assignmentOf(worker: WorkerFacts, target: Target, holders: Holders) {
  const range = rangeOf(worker.ordinal, target.totalShards, target.totalWorkers)
  // A worker beyond the wanted ones is told so if it holds anything: the word of a new leader voids permits of the one before.
  if (range.last < range.first && worker.assigned === undefined && worker.held.size === 0) return undefined
  const elsewhere = [...shardsOf(range)].filter((shardId) => livesElsewhere(shardId, worker, holders))
  const withhold = rangesFrom(elsewhere)
  const { assigned } = worker
  const same =
    assigned !== undefined &&
    worker.owed.size === 0 &&
    assigned.gatewayKey === target.gatewayKey &&
    sameRanges([assigned.range, ...assigned.withhold], [range, ...withhold])
  return same ? undefined : { ordinal: worker.ordinal, range, withhold }
}

const sameRanges = (a: readonly Range[], b: readonly Range[]): boolean =>
  a.length === b.length && a.every((range, i) => range.first === b[i]?.first && range.last === b[i]?.last)
