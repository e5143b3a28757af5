import { ownerOf } from '../domain/ranges.ts'
import { shardCountProblem } from '../domain/shard-count.ts'
import type { Fleet } from './fleet.ts'
import { gatewayOf, type PresentOptions } from './gateway-of.ts'
import type { LaneMember } from './lane-member.ts'
import type { Desired } from './ports.ts'
import type { WorkerLink } from './worker-link.ts'

/** What a ShardCluster shall be, and Discord's word where the user gave none. */
export class Wanted {
  /** undefined before it was first said. */
  desired: Desired | undefined
  readonly #lane: LaneMember

  constructor(lane: LaneMember) {
    this.#lane = lane
  }

  /** undefined until Discord's recommendation is known, where the user gave no number. */
  get totalShards(): number | undefined {
    return this.desired?.totalShards ?? this.#lane.info?.shards
  }

  /** Why the number of shards cannot be had. */
  get countProblem(): Fleet['countProblem'] {
    const { desired, totalShards } = this
    return desired && totalShards !== undefined ? shardCountProblem(totalShards, desired) : undefined
  }

  /** The ordinal of the worker that shall hold the shard; undefined: none, or not known yet. */
  ownerOf(shardId: number): number | undefined {
    const { desired, totalShards } = this
    if (!desired || totalShards === undefined || shardId >= totalShards) return undefined
    return ownerOf(shardId, totalShards, desired.totalWorkers)
  }

  /** How shards shall connect; undefined as long as neither Discord nor a worker that runs says where. */
  optionsFor(links: Iterable<WorkerLink>): PresentOptions | undefined {
    return gatewayOf(this.desired, this.#lane.info?.url, links)
  }
}
