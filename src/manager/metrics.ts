import { Counter, Histogram, type Registry } from 'prom-client'
import type { IdentifyCause } from './identify-cause.ts'
import type { WorkerBound } from './worker-bounds.ts'

/** What a manager counts, by ShardCluster (`namespace/name`). */
export interface ManagerMetrics {
  /** An IDENTIFY was sent, or may have been: one of the daily budget. `result`: `READY`, or the failure's code. */
  identify(cluster: string, cause: IdentifyCause, result: string): void
  /** A shard was given its slot, so many milliseconds after it began to wait for one. */
  waited(cluster: string, milliseconds: number): void
  /** A shard that one worker gave up is connected on another, after so many milliseconds. */
  handedOver(cluster: string, milliseconds: number): void
  /** Shards that were given to a worker with a session to resume, and without one. */
  assigned(cluster: string, withSession: number, without: number): void
  /** Something from outside was larger than it may be, and was not taken. `bound`: which; see worker-bounds.ts. */
  boundBroken(cluster: string, bound: WorkerBound | 'SavedSessions'): void
}

/** Registers the metrics of all managers of a process. */
export function createManagerMetrics(registry: Registry): ManagerMetrics {
  const registers = [registry]
  const identifies = new Counter({
    name: 'shardcluster_identifies_total',
    help: 'IDENTIFYs of the daily budget that were spent, by why they were needed and what came of them.',
    labelNames: ['cluster', 'cause', 'result'],
    registers,
  })
  const waits = new Histogram({
    name: 'shardcluster_identify_wait_seconds',
    help: 'Time from a shard needing an IDENTIFY, or failing at one, to its slot: its bucket, the budget and back-off.',
    labelNames: ['cluster'],
    // A start of 5,000 shards in one bucket lasts seven hours.
    buckets: [0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400],
    registers,
  })
  const handOvers = new Histogram({
    name: 'shardcluster_hand_over_seconds',
    help: 'Time from a worker giving up a shard to the shard being connected on another.',
    labelNames: ['cluster'],
    buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 90],
    registers,
  })
  const assigned = new Counter({
    name: 'shardcluster_assigned_shards_total',
    help: 'Shards given to a worker that did not hold them, by whether a session to resume came with them.',
    labelNames: ['cluster', 'session'],
    registers,
  })
  const broken = new Counter({
    name: 'shardcluster_bounds_broken_total',
    help: 'What workers said, or Secrets with sessions held, beyond what there can be, by `bound`: it was not taken.',
    labelNames: ['cluster', 'bound'],
    registers,
  })
  return {
    boundBroken: (cluster, bound) => broken.inc({ cluster, bound }),
    identify: (cluster, cause, result) => identifies.inc({ cluster, cause, result }),
    waited: (cluster, milliseconds) => waits.observe({ cluster }, milliseconds / 1_000),
    handedOver: (cluster, milliseconds) => handOvers.observe({ cluster }, milliseconds / 1_000),
    assigned(cluster, withSession, without) {
      if (withSession > 0) assigned.inc({ cluster, session: 'known' }, withSession)
      if (without > 0) assigned.inc({ cluster, session: 'none' }, without)
    },
  }
}
