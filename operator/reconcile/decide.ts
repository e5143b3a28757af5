import type { Reason } from '../../src/api/conditions.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import { shardCountProblem } from '../../src/domain/shard-count.ts'
import type { Manifest } from '../kube/objects.ts'
import { podDisruptionBudgets, type Resource, secrets, services, statefulSets } from '../kube/resources.ts'
import { keySecret } from '../manifests/key-secret.ts'
import { statefulSetName, TOTAL_SHARDS_LABEL } from '../manifests/names.ts'
import { podDisruptionBudget } from '../manifests/pod-disruption-budget.ts'
import { service } from '../manifests/service.ts'
import { statefulSet } from '../manifests/stateful-set.ts'
import { type ConditionEvent, conditionEvents } from './condition-events.ts'
import type { Credentials } from './credentials.ts'
import type { PodObject, StatefulSetObject } from './objects.ts'
import type { Observed } from './observed.ts'
import { statusOf } from './status.ts'

/** What to do, in this order. */
export interface Plan {
  readonly apply: readonly {
    readonly resource: Resource
    readonly manifest: Manifest & { metadata: { name: string } }
  }[]
  readonly remove: readonly { readonly resource: Resource; readonly name: string; readonly uid: string }[]
  /** What the manager is told; undefined: it is left as it is. */
  readonly manage:
    | {
        readonly credentials: Credentials
        readonly totalShards: number | undefined
        readonly pods: readonly PodObject[]
      }
    | undefined
  readonly status: ShardClusterStatus
  readonly events: readonly ConditionEvent[]
  /** Look again after so many milliseconds, although nothing changed. */
  readonly requeue: { readonly afterMs: number; readonly reason: string } | undefined
}

/** Secrets are not watched: what is missing or was refused is looked at again at this pace, in milliseconds. */
const SECRETS_AGAIN_MS = 15_000

/** What one look at the world calls for. Pure: the same observation gives the same plan. */
export function decide(observed: Observed): Plan {
  const { cluster, credentials, fleet } = observed
  const totalShards = cluster.spec.totalShards ?? observed.status.totalShards ?? fleet?.totalShards
  const userProblem = userProblemOf(observed, totalShards)
  const key = credentials.ok ? (credentials.credentials.key ?? observed.freshKey) : undefined
  const current = observed.statefulSets.find(
    (set) => totalShards !== undefined && set.metadata.name === statefulSetName(cluster, totalShards),
  )
  const pods = observed.pods.filter((pod) => pod.metadata.labels?.[TOTAL_SHARDS_LABEL] === String(totalShards))
  const status = statusOf(observed, { totalShards, userProblem, pods })
  return {
    apply: key === undefined || userProblem ? [] : children(observed, key, totalShards, current),
    remove: outdated(observed, totalShards).map(({ metadata }) => ({
      resource: statefulSets,
      name: metadata.name,
      uid: metadata.uid,
    })),
    manage: credentials.ok ? { credentials: { ...credentials.credentials, key }, totalShards, pods } : undefined,
    status,
    events: conditionEvents(observed.status.conditions ?? [], status.conditions ?? []),
    requeue: requeueOf(status),
  }
}

/** How many pods there shall be: those that are wanted, and those beyond that still hold shards. */
export function replicasOf(observed: Pick<Observed, 'cluster' | 'fleet' | 'empty' | 'pods'>, current: number): number {
  const { cluster, fleet, empty, pods } = observed
  const wanted = cluster.spec.totalWorkers
  if (!fleet) return Math.max(wanted, current)
  const there = new Set(pods.map((pod) => Number(/(\d+)$/.exec(pod.metadata.name)?.[1])))
  let replicas = current
  // From the top, because a StatefulSet removes its highest ordinals.
  while (replicas > wanted && (empty.has(replicas - 1) || !there.has(replicas - 1))) replicas--
  return Math.max(wanted, replicas)
}

function children(
  observed: Observed,
  key: string,
  totalShards: number | undefined,
  current: StatefulSetObject | undefined,
): Plan['apply'] {
  const { cluster, defaults } = observed
  const first = [
    { resource: secrets, manifest: keySecret(cluster, key) },
    { resource: services, manifest: service(cluster) },
    { resource: podDisruptionBudgets, manifest: podDisruptionBudget(cluster) },
  ]
  if (totalShards === undefined) return first
  const replicas = replicasOf(observed, current?.spec.replicas ?? 0)
  return [...first, { resource: statefulSets, manifest: statefulSet(cluster, totalShards, replicas, defaults) }]
}

/** Sets of another number of shards go when the present one has taken over: until then they serve. */
function outdated(
  { statefulSets: sets, cluster, fleet }: Observed,
  totalShards: number | undefined,
): StatefulSetObject[] {
  if (totalShards === undefined || fleet?.totalShards !== totalShards || fleet.ready < totalShards) return []
  return sets.filter(
    (set) =>
      set.metadata.name !== statefulSetName(cluster, totalShards) && set.metadata.deletionTimestamp === undefined,
  )
}

function userProblemOf(
  { cluster, credentials }: Observed,
  totalShards: number | undefined,
): { reason: Reason; message: string } | undefined {
  if (!credentials.ok) return credentials.problem
  if (totalShards === undefined) return undefined
  return shardCountProblem(totalShards, { ...cluster.spec, shardMultiple: cluster.spec.gateway.shardMultiple })
}

function requeueOf(status: ShardClusterStatus): Plan['requeue'] {
  const stalled = status.conditions?.find(({ type, status }) => type === 'Stalled' && status === 'True')
  const degraded = status.conditions?.find(({ type, reason }) => type === 'Degraded' && reason.endsWith('Unauthorized'))
  if (!stalled && !degraded) return undefined
  return { afterMs: SECRETS_AGAIN_MS, reason: `${(stalled ?? degraded)?.reason}: the Secret may have been corrected` }
}
