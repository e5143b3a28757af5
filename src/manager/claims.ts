import { sizeOf } from '../domain/ranges.ts'
import { FROM_WORKERS, MAX_SHARDS } from '../limits.ts'
import type { StateRecord } from '../protocol/state.ts'
import type { WorkerRef } from './ports.ts'
import { WorkerBoundError } from './worker-bounds.ts'
import type { WorkerView } from './worker-view.ts'

/** What one worker may say that it holds. */
export interface MayHold {
  /** Ids of shards are below this. */
  readonly totalShards: number
  /** So many shards, and as many sessions that it keeps. */
  readonly shards: number
  /** Of these, so many as the other workers of the ShardCluster leave; asked for only when the worker says more than before. */
  readonly left: () => number
}

/** A worker as far as its claims are concerned. */
interface Claimant {
  readonly ref: Pick<WorkerRef, 'ordinal' | 'presumed'>
  readonly view: WorkerView
}

/** What the protocol takes of any worker. */
export const ANY_CLAIM: MayHold = {
  totalShards: MAX_SHARDS,
  shards: FROM_WORKERS.shardsNamed,
  left: () => FROM_WORKERS.shardsNamed,
}

/** How much the workers of one ShardCluster may say that they hold. What was wanted once may still be held. */
export class Claims {
  readonly #links: ReadonlyMap<number, Claimant>
  #totalShards = 0
  #perWorker = 0

  constructor(links: ReadonlyMap<number, Claimant>) {
    this.#links = links
  }

  /** Takes what is wanted now, as far as it is known. */
  wanted(totalShards: number | undefined, shardsPerWorker: number | undefined): void {
    this.#totalShards = Math.max(this.#totalShards, totalShards ?? 0)
    this.#perWorker = Math.max(this.#perWorker, shardsPerWorker ?? 0)
  }

  /**
   * A worker holds its range, the one before while shards move, and, when it ran before this manager, what it was
   * presumed to hold: a former manager gave it that, under a spec that may have been another.
   */
  of({ ref: { ordinal, presumed } }: Claimant): MayHold {
    const totalShards = Math.min(this.#totalShards || MAX_SHARDS, MAX_SHARDS)
    const own = FROM_WORKERS.rangesHeld * (this.#perWorker || FROM_WORKERS.shards) + (presumed ? sizeOf(presumed) : 0)
    return { totalShards, shards: Math.min(totalShards, own), left: () => this.#leftOf(totalShards, ordinal) }
  }

  #leftOf(totalShards: number, ordinal: number): number {
    let taken = 0
    for (const [other, { view }] of this.#links) if (other !== ordinal) taken += weightOf(view)
    return Math.max(0, FROM_WORKERS.holdersOfShard * totalShards - taken)
  }
}

const weightOf = ({ shards, finalSessions }: WorkerView): number => shards.size + finalSessions.length

/** @throws WorkerBoundError when the record says what the worker cannot hold; the view is as it was. */
export function checkClaim(view: WorkerView, record: StateRecord, mayHold: MayHold): void {
  const { totalShards, shards } = mayHold
  const foreign = foreignShard(record, totalShards)
  if (foreign !== undefined) {
    const why = `the worker speaks of shard ${foreign}, and the ShardCluster has ${totalShards}`
    throw new WorkerBoundError('Shards', why)
  }
  const claimed = claimedBy(view, record)
  if (claimed <= view.shards.size) return
  const most = Math.min(shards, mayHold.left())
  if (claimed > most)
    throw new WorkerBoundError('Claim', `the worker says that it holds ${claimed} shards, and may hold ${most}`)
}

function foreignShard(record: StateRecord, totalShards: number): number | undefined {
  if (record.type !== 'DRAINED') for (const { shardId } of record.shards) if (shardId >= totalShards) return shardId
  if (record.type === 'DELTA') return record.gone.find((shardId) => shardId >= totalShards)
  return record.sessions.find(({ shardId }) => shardId >= totalShards)?.shardId
}

/** How many shards, or final sessions, there will be of it. */
function claimedBy(view: WorkerView, record: StateRecord): number {
  if (record.type === 'SNAPSHOT') return record.shards.length
  if (record.type === 'DRAINED') return record.sessions.length
  const { size } = view.shards
  const fresh = new Set<number>()
  for (const { shardId } of record.shards) if (!view.shards.has(shardId)) fresh.add(shardId)
  return size + fresh.size
}
