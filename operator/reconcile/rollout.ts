import { PAUSE_ROLLOUT_ANNOTATION, planRollout, type Rollout } from '../../src/domain/rollout.ts'
import { statefulSetName } from '../manifests/names.ts'
import { CONTAINER } from '../manifests/pod.ts'
import { ordinalOf, type PodObject, runs } from './objects.ts'
import type { Observed } from './observed.ts'

/** The label that a StatefulSet gives its pods: which template they are of. */
const REVISION_LABEL = 'controller-revision-hash'

/** What the domain says about pods of an older template. Nothing is said before the fleet was heard. */
export function rolloutOf(observed: Observed, totalShards: number | undefined): Rollout | undefined {
  const { cluster, fleet, pods, statefulSets } = observed
  if (totalShards === undefined || !fleet || observed.settling) return undefined
  const set = statefulSets.find(({ metadata }) => metadata.name === statefulSetName(cluster, totalShards))
  const revision = set?.status?.updateRevision
  if (!set || revision === undefined) return undefined
  const connected = new Set(fleet.workers.filter((worker) => worker.connected).map(({ ordinal }) => ordinal))
  const paused = cluster.metadata.annotations?.[PAUSE_ROLLOUT_ANNOTATION] ?? 'false'
  return planRollout({
    paused: paused !== 'false',
    settled: set.status?.observedGeneration === set.metadata.generation,
    totalWorkers: cluster.spec.totalWorkers,
    workers: pods.map((pod) => ({
      ordinal: ordinalOf(pod),
      outdated: pod.metadata.labels?.[REVISION_LABEL] !== revision,
      terminating: pod.metadata.deletionTimestamp !== undefined,
      working: runs(pod, CONTAINER) && connected.has(ordinalOf(pod)),
    })),
    totalShards,
    ready: fleet.ready,
    misplaced: fleet.misplaced,
  })
}

/** The pod that goes now. */
export function podToReplace(rollout: Rollout | undefined, pods: readonly PodObject[]): PodObject | undefined {
  return rollout?.next === undefined ? undefined : pods.find((pod) => ordinalOf(pod) === rollout.next)
}
