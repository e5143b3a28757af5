import type { Reason } from '../../src/api/conditions.ts'
import { MAX_WORKERS } from '../../src/api/spec.ts'
import type { ShardClusterStatus, WorkerStatus } from '../../src/api/status.ts'
import { type Facts, findings, mergeConditions } from '../../src/domain/conditions.ts'
import { rangeOf, sizeOf } from '../../src/domain/ranges.ts'
import type { Rollout } from '../../src/domain/rollout.ts'
import { MAX_INT32, MAX_ROW_TEXT } from '../../src/limits.ts'
import type { WorkerFleet } from '../../src/manager/fleet.ts'
import { foreignText } from '../../src/support/text.ts'
import { selectorOf, selectorText, statefulSetName } from '../manifests/names.ts'
import { CONTAINER } from '../manifests/pod.ts'
import { ordinalOf, type PodObject, runs, whyNotRunning } from './objects.ts'
import type { Observed } from './observed.ts'

interface Decided {
  readonly totalShards: number | undefined
  readonly userProblem: { readonly reason: Reason; readonly message: string } | undefined
  readonly pods: readonly PodObject[]
  readonly rollout: Rollout | undefined
  /** The StatefulSet is not yet what the plan makes of it. */
  readonly unsettled: boolean
}

/** The whole status, from what was observed and decided. */
export function statusOf(observed: Observed, decided: Decided): ShardClusterStatus {
  const { cluster, fleet, time } = observed
  const { totalShards, pods, rollout } = decided
  const facts = factsOf(observed, decided)
  const workerStatuses = totalShards === undefined ? [] : workerRows(observed, totalShards, facts)
  const ready = fleet?.ready ?? 0
  return {
    observedGeneration: cluster.metadata.generation ?? 0,
    selector: selectorText(selectorOf(cluster)),
    workers: pods.length,
    readyWorkers: workerStatuses.filter(
      ({ ordinal, pod, ready }) =>
        ordinal < cluster.spec.totalWorkers && pod !== undefined && ready === facts.workers[ordinal]?.size,
    ).length,
    updatedWorkers: pods.length - (rollout?.outdated ?? 0),
    ...imageOf(observed, totalShards),
    readyShards: int32(ready),
    ...(totalShards !== undefined && { totalShards, shards: `${ready}/${totalShards}` }),
    ...(fleet?.maxConcurrency !== undefined && { maxConcurrency: int32(fleet.maxConcurrency) }),
    ...(fleet?.budget && {
      identify: {
        total: int32(fleet.budget.total),
        remaining: int32(fleet.budget.left),
        resetTime: fleet.budget.resetTime,
        waiting: int32(fleet.waiting),
        ...(observed.estimatedTime !== undefined && { estimatedCompletionTime: observed.estimatedTime }),
      },
    }),
    workerStatuses,
    conditions: mergeConditions(
      observed.status.conditions ?? [],
      findings(facts),
      cluster.metadata.generation ?? 0,
      time,
    ),
  }
}

function factsOf(observed: Observed, { totalShards, userProblem, pods, rollout, unsettled }: Decided): Facts {
  const { fleet, cluster, estimatedTime } = observed
  const { totalWorkers, identify } = cluster.spec
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(pod), pod]))
  const known = new Map(fleet?.workers.map((worker) => [worker.ordinal, worker]))
  const ordinals = new Set([...Array(totalWorkers).keys(), ...known.keys()])
  return {
    ready: fleet?.ready ?? 0,
    waiting: fleet?.waiting ?? 0,
    identifying: fleet?.identifying ?? 0,
    resuming: fleet?.resuming ?? 0,
    misplaced: fleet?.misplaced ?? 0,
    fatal: fleet?.fatal,
    failing: fleet?.failing ?? [],
    tripped: fleet?.tripped ?? [],
    cutOff: fleet?.cutOff,
    sessionProblem: fleet?.sessionProblem,
    budget: fleet?.budget,
    shortOfBudget: fleet?.shortOfBudget ?? false,
    totalShards,
    totalWorkers,
    reserve: identify.reserve,
    estimatedTime,
    userProblem,
    rollout,
    unsettled,
    workers: [...ordinals].map((ordinal) => {
      const worker = known.get(ordinal)
      const pod = byOrdinal.get(ordinal)
      return {
        ordinal,
        name: pod && runs(pod, CONTAINER) ? pod.metadata.name : undefined,
        size: totalShards === undefined ? 0 : sizeOf(rangeOf(ordinal, totalShards, totalWorkers)),
        connected: worker?.connected ?? false,
        ending: pod?.metadata.deletionTimestamp !== undefined,
        message: messageOf(pod, worker),
        sinks: worker?.sinks ?? [],
      }
    }),
  }
}

/** What holds a worker up, for people. */
function messageOf(pod: PodObject | undefined, worker: WorkerFleet | undefined): string {
  if (!pod) return 'it has no pod yet'
  if (!runs(pod, CONTAINER)) return `pod ${pod.metadata.name}: ${whyNotRunning(pod, CONTAINER)}`
  // The fleet may be older than the pod's start.
  return (worker?.name !== undefined && worker.message) || `pod ${pod.metadata.name} is being connected to`
}

function workerRows({ fleet, cluster }: Observed, totalShards: number, facts: Facts): WorkerStatus[] {
  const { totalWorkers } = cluster.spec
  return facts.workers.slice(0, MAX_WORKERS).map(({ ordinal, name, connected, size, message }) => {
    const range = rangeOf(ordinal, totalShards, totalWorkers)
    const worker = fleet?.workers.find((one) => one.ordinal === ordinal)
    const says = ordinal >= totalWorkers ? leaving(worker) : connected ? undefined : message
    return {
      ordinal,
      ...(name !== undefined && { pod: name }),
      ...(size > 0 && { first: range.first, last: range.last }),
      ready: int32(worker?.ready ?? 0),
      ...(says !== undefined && { message: foreignText(says, MAX_ROW_TEXT) }),
    }
  })
}

/** What the API server takes: a whole number of 32 bits. One that is out of range must not keep the rest of the status back. */
const int32 = (value: number): number =>
  Number.isNaN(value) ? 0 : Math.trunc(Math.min(Math.max(value, -MAX_INT32), MAX_INT32))

/** A worker beyond `totalWorkers`: its pod goes when its shards have moved. */
function leaving(worker: WorkerFleet | undefined): string {
  if (!worker?.connected) return `it leaves, and does not answer${worker?.message ? `: ${worker.message}` : ''}`
  if (worker.held === 0) return 'it leaves: its shards have moved'
  return `it leaves: ${worker.held} ${worker.held === 1 ? 'shard has' : 'shards have'} still to move to other workers`
}

/** As the StatefulSet has it, which an upgrade of the operator leaves as it is. */
function imageOf({ statefulSets, cluster }: Observed, totalShards: number | undefined) {
  if (totalShards === undefined) return undefined
  const set = statefulSets.find(({ metadata }) => metadata.name === statefulSetName(cluster, totalShards))
  const container = set?.spec.template?.spec?.containers?.find(({ name }) => name === CONTAINER)
  return container && { workerImage: container.image }
}
