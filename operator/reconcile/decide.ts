import type { Reason } from '../../src/api/conditions.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import { shardCountProblem } from '../../src/domain/shard-count.ts'
import type { Fleet } from '../../src/manager/fleet.ts'
import type { Manifest, StoredObject } from '../kube/objects.ts'
import {
  podDisruptionBudgets,
  pods as podResource,
  type Resource,
  secrets,
  services,
  statefulSets,
} from '../kube/resources.ts'
import { keySecret } from '../manifests/key-secret.ts'
import { statefulSetName, TOTAL_SHARDS_LABEL } from '../manifests/names.ts'
import { CONTAINER } from '../manifests/pod.ts'
import { podDisruptionBudget } from '../manifests/pod-disruption-budget.ts'
import { service } from '../manifests/service.ts'
import { statefulSet } from '../manifests/stateful-set.ts'
import { TEMPLATE_ANNOTATION } from '../manifests/template-record.ts'
import { authoritySecret, tlsSecret } from '../manifests/trust-secrets.ts'
import { type ConditionEvent, conditionEvents } from './condition-events.ts'
import type { Managed } from './fleets.ts'
import { ordinalOf, type PodObject, runs, type StatefulSetObject } from './objects.ts'
import type { Heard, Observed } from './observed.ts'
import { podToReplace, rolloutOf } from './rollout.ts'
import { statusOf } from './status.ts'

/** What to do, in this order. */
export interface Plan {
  readonly apply: readonly {
    readonly resource: Resource
    readonly manifest: Manifest & { metadata: { name: string } }
  }[]
  readonly remove: readonly { readonly resource: Resource; readonly name: string; readonly uid: string }[]
  readonly status: ShardClusterStatus
  readonly events: readonly ConditionEvent[]
  /** Look again after so many milliseconds, although nothing changed. */
  readonly requeue: { readonly afterMs: number; readonly reason: string } | undefined
}

/** Secrets are not watched: what is missing or was refused is looked at again at this pace, in milliseconds. */
const SECRETS_AGAIN_MS = 15_000
const SETTLING_AGAIN_MS = 1_000

/** The user's number, or Discord's recommendation as it was first heard. */
const totalShardsOf = ({ cluster, status, fleet }: Unheard): number | undefined =>
  cluster.spec.totalShards ?? status.totalShards ?? fleet?.totalShards

/** What is seen before the manager is asked; of `fleet` only the number of shards. */
type Unheard = Omit<Observed, keyof Heard> & { readonly fleet: Pick<Fleet, 'totalShards'> | undefined }

/** What the manager is told; undefined: it is left as it is. Pure. */
export function managedOf(seen: Unheard): Managed | undefined {
  const { credentials, key, trust, pods } = seen
  const totalShards = totalShardsOf(seen)
  if (!credentials.ok) return undefined
  return { credentials: credentials.credentials, key, trust, totalShards, pods: podsOf(pods, totalShards) }
}

/** What one look at the world calls for. Pure: the same observation gives the same plan. */
export function decide(all: Observed): Plan {
  const totalShards = totalShardsOf(all)
  const observed = ofCount(all, totalShards)
  const { pods } = observed
  const userProblem = userProblemOf(observed, totalShards)
  // What runs is to be trusted on, whatever the user has to mend.
  const running = pods.length > 0 ? certificates(observed) : []
  const apply = userProblem ? running : children(observed, totalShards)
  const rollout = userProblem ? undefined : rolloutOf(observed, totalShards)
  const replaced = podToReplace(rollout, pods)
  const kept = userProblem === undefined && keepsStatus(observed, totalShards)
  const found = { totalShards, userProblem: userProblem ?? observed.refused, pods, rollout }
  const status = kept ? observed.status : statusOf(observed, { ...found, unsettled: isUnsettled(observed, apply) })
  return {
    apply,
    remove: [
      ...outdated(observed, totalShards).map((set) => removal(statefulSets, set)),
      ...(replaced ? [removal(podResource, replaced)] : []),
    ],
    status,
    events: [...rotation(observed), ...conditionEvents(observed.status.conditions ?? [], status.conditions ?? [])],
    requeue: kept ? { afterMs: SETTLING_AGAIN_MS, reason: 'the workers are being heard' } : requeueOf(status),
  }
}

/** The key is about to be replaced by another. */
function rotation({ credentials, key }: Observed): readonly ConditionEvent[] {
  const stored = credentials.ok ? credentials.credentials.key : undefined
  if (stored === undefined || stored.current === key.current) return []
  const note = 'The key between operator and workers is another now: running pods have it within two minutes.'
  return [{ type: 'Normal', reason: 'KeyRotated', action: 'RotateKey', note }]
}

const removal = (resource: Resource, { metadata: { name, uid } }: StoredObject) => ({ resource, name, uid })

const podsOf = (pods: readonly PodObject[], totalShards: number | undefined): readonly PodObject[] =>
  pods.filter((pod) => pod.metadata.labels?.[TOTAL_SHARDS_LABEL] === String(totalShards))

/** Only what is about this number of shards: while it changes, pods and manager of the one before are still there. */
function ofCount(observed: Observed, totalShards: number | undefined): Observed {
  const pods = podsOf(observed.pods, totalShards)
  if (observed.fleet?.totalShards === totalShards) return { ...observed, pods }
  return { ...observed, pods, fleet: undefined, empty: new Set(), estimatedTime: undefined }
}

/**
 * A manager that began just now, in a new leader, knows nothing: a Ready that was True is not taken back before the
 * workers have been heard, or every restart of the operator would raise an alarm.
 */
function keepsStatus({ settling, refused, status, cluster }: Observed, totalShards: number | undefined): boolean {
  if (!settling || refused || status.totalShards !== totalShards) return false
  if (status.observedGeneration !== cluster.metadata.generation) return false
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

/** How many pods there shall be: those that are wanted, and those beyond that still hold shards. */
export function replicasOf(observed: Pick<Observed, 'cluster' | 'fleet' | 'empty' | 'pods'>, current: number): number {
  const { cluster, fleet, empty, pods } = observed
  const wanted = cluster.spec.totalWorkers
  if (!fleet) return Math.max(wanted, current)
  // A pod that does not run holds nothing, and would otherwise be waited for as long as it finds no node.
  const there = new Set(pods.filter((pod) => runs(pod, CONTAINER)).map(ordinalOf))
  let replicas = current
  // From the top, because a StatefulSet removes its highest ordinals.
  while (replicas > wanted && (empty.has(replicas - 1) || !there.has(replicas - 1))) replicas--
  return Math.max(wanted, replicas)
}

/** The authority first: whoever finds the other without it would not know it. */
const certificates = ({ cluster, trust }: Observed): Plan['apply'] => [
  { resource: secrets, manifest: authoritySecret(cluster, trust) },
  { resource: secrets, manifest: tlsSecret(cluster, trust) },
]

function children(observed: Observed, totalShards: number | undefined): Plan['apply'] {
  const { cluster, defaults, key } = observed
  const first = [
    { resource: secrets, manifest: keySecret(cluster, key) },
    ...certificates(observed),
    { resource: services, manifest: service(cluster) },
    { resource: podDisruptionBudgets, manifest: podDisruptionBudget(cluster) },
  ]
  if (totalShards === undefined) return first
  const name = statefulSetName(cluster, totalShards)
  const current = observed.statefulSets.find((set) => set.metadata.name === name)
  const replicas = replicasOf(observed, current?.spec.replicas ?? 0)
  const recorded = current?.metadata.annotations?.[TEMPLATE_ANNOTATION]
  const manifest = statefulSet(cluster, totalShards, replicas, defaults, recorded)
  return [...first, { resource: statefulSets, manifest }]
}

/**
 * The caches show the StatefulSet as it was before what is applied now, or before its controller looked at that. Until
 * then its pods seem to be up to date, whatever changed.
 */
function isUnsettled({ statefulSets: sets }: Observed, apply: Plan['apply']): boolean {
  const wanted = apply.find(({ resource }) => resource === statefulSets)?.manifest as
    | ReturnType<typeof statefulSet>
    | undefined
  const set = sets.find(({ metadata }) => metadata.name === wanted?.metadata.name)
  if (!wanted || !set) return false
  const { metadata, spec, status } = set
  return (
    metadata.annotations?.[TEMPLATE_ANNOTATION] !== wanted.metadata.annotations[TEMPLATE_ANNOTATION] ||
    spec.replicas !== wanted.spec.replicas ||
    status?.observedGeneration !== metadata.generation
  )
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
  return { afterMs: SECRETS_AGAIN_MS, reason: `${(stalled ?? degraded)?.reason}: it may have been corrected` }
}
