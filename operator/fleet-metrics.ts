import { Gauge, type Registry } from 'prom-client'
import { conditionSchema } from '../src/api/conditions.ts'
import type { Fleet } from '../src/manager/fleet.ts'
import { objectKey, type StoredObject } from './kube/objects.ts'

/** One ShardCluster as its manager sees it, and what its manifest asks for. */
export interface ManagedFleet {
  /** `namespace/name`. */
  readonly cluster: string
  readonly fleet: Fleet
  readonly totalWorkers: number
  /** IDENTIFYs that are never spent. */
  readonly reserve: number
}

/** Where the gauges come from, asked when they are scraped. */
export interface FleetSource {
  readonly fleets: () => readonly ManagedFleet[]
  /** Every ShardCluster there is, managed or not. */
  readonly clusters: () => readonly StoredObject[]
}

export interface FleetMetrics {
  /** Shows these until the returned function is called: only a leader knows anything. */
  show(source: FleetSource): () => void
}

/** Registers the gauges of all ShardClusters of a process; they are empty while nobody shows any. */
export function createFleetMetrics(registry: Registry): FleetMetrics {
  let source: FleetSource | undefined
  const gauges = registerGauges(registry, () => {
    for (const gauge of Object.values(gauges)) gauge.reset()
    for (const managed of source?.fleets() ?? []) setFleet(gauges, managed)
    for (const object of source?.clusters() ?? []) setConditions(gauges.condition, object)
  })
  return {
    show(shown) {
      source = shown
      return () => {
        if (source === shown) source = undefined
      }
    },
  }
}

type Gauges = ReturnType<typeof registerGauges>

/** `collect` is called once a scrape: prom-client asks its metrics in the order they were made. */
function registerGauges(registry: Registry, collect: () => void) {
  const registers = [registry]
  const gauge = <L extends string = never>(name: string, help: string, ...labels: L[]) =>
    new Gauge<'cluster' | L>({ name: `shardcluster_${name}`, help, labelNames: ['cluster', ...labels], registers })
  return {
    shards: new Gauge({
      name: 'shardcluster_shards',
      help: 'Shards by state; Connected is on the worker that shall hold them, Misplaced on another.',
      labelNames: ['cluster', 'state'],
      registers,
      collect,
    }),
    shardsDesired: gauge(
      'shards_desired',
      'Shards that there shall be; absent until Discord has recommended a number.',
    ),
    workersDesired: gauge('workers_desired', 'Workers that there shall be.'),
    workersConnected: gauge('workers_connected', 'Workers whose state stream is open.'),
    budgetRemaining: gauge('identify_budget_remaining', 'IDENTIFYs left of the day, the reserve among them.'),
    budgetLimit: gauge('identify_budget_limit', 'IDENTIFYs of a day.'),
    budgetReserve: gauge('identify_budget_reserve', 'IDENTIFYs that are never spent.'),
    maxConcurrency: gauge('max_concurrency', 'Buckets, each of which takes one IDENTIFY a window.'),
    condition: gauge('condition', 'Conditions: 1 is True, 0 False, -1 Unknown.', 'type', 'reason'),
  }
}

function setFleet(gauges: Gauges, { cluster, fleet, totalWorkers, reserve }: ManagedFleet): void {
  const { totalShards, ready, waiting, identifying, resuming, misplaced, budget, maxConcurrency } = fleet
  const heard = ready + waiting + identifying + resuming + misplaced
  const states = {
    Connected: ready,
    Unidentified: waiting,
    Identifying: identifying,
    Resuming: resuming,
    Misplaced: misplaced,
    // Turned away for good, or on no worker that is heard.
    Offline: Math.max(0, (totalShards ?? heard) - heard),
  }
  for (const [state, count] of Object.entries(states)) gauges.shards.set({ cluster, state }, count)
  if (totalShards !== undefined) gauges.shardsDesired.set({ cluster }, totalShards)
  gauges.workersDesired.set({ cluster }, totalWorkers)
  gauges.workersConnected.set({ cluster }, fleet.workers.filter(({ connected }) => connected).length)
  gauges.budgetReserve.set({ cluster }, reserve)
  if (maxConcurrency !== undefined) gauges.maxConcurrency.set({ cluster }, maxConcurrency)
  if (!budget) return
  gauges.budgetRemaining.set({ cluster }, budget.left)
  gauges.budgetLimit.set({ cluster }, budget.total)
}

const VALUES = { True: 1, False: 0, Unknown: -1 } as const

/** From what the API server has, so that a ShardCluster which cannot even be read shows its Stalled. */
function setConditions(gauge: Gauges['condition'], object: StoredObject): void {
  const { namespace, name } = object.metadata
  const { status } = object as { status?: { conditions?: unknown } }
  const conditions = conditionSchema.array().safeParse(status?.conditions)
  const cluster = objectKey(namespace, name)
  for (const { type, status, reason } of conditions.data ?? []) gauge.set({ cluster, type, reason }, VALUES[status])
}
