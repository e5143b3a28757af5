import { statefulSetName, TOTAL_SHARDS_LABEL } from '../../../operator/manifests/names.ts'
import { CONTAINER } from '../../../operator/manifests/pod.ts'
import { statefulSet } from '../../../operator/manifests/stateful-set.ts'
import type { PodObject, StatefulSetObject } from '../../../operator/reconcile/objects.ts'
import type { Observed } from '../../../operator/reconcile/observed.ts'
import { dueTrust } from '../../../operator/trust/due-trust.ts'
import { issuing } from '../../../operator/trust/issue.ts'
import { type ShardCluster, shardClusterSchema } from '../../../src/api/shard-cluster.ts'
import { rangeOf } from '../../../src/domain/ranges.ts'
import type { Fleet, WorkerFleet } from '../../../src/manager/fleet.ts'

/** Values that must not appear anywhere but in the Secret of the key. */
export const TOKEN = 'the-bot-token'
export const REST_AUTHORIZATION = 'the-rest-authorization'
export const KEY = 'the-sharder-key'
export const TIME = '2026-01-01T00:00:00Z'

/** The certificates of its workers. */
export const TRUST = await dueTrust(
  { stored: undefined, known: undefined, servername: 'bot-sharders.prod.svc', now: Date.now() },
  issuing,
)

type Spec = Record<string, unknown>

/** A ShardCluster as the API server has it: 8 shards on 2 workers. */
export function cluster(change: Spec = {}): ShardCluster {
  return shardClusterSchema.parse({
    apiVersion: 'shardcluster.dev/v1alpha1',
    kind: 'ShardCluster',
    metadata: { name: 'bot', namespace: 'prod', uid: 'uid-of-bot', generation: 3 },
    spec: {
      totalShards: 8,
      totalWorkers: 2,
      shardsPerWorker: 100,
      tokenSecretRef: { name: 'bot' },
      rest: { baseUrl: 'http://rest-proxy:8000', authorizationSecretRef: { name: 'bot' } },
      gateway: { intents: ['Guilds'] },
      events: [{ name: 'bot', http: { url: 'http://bot:8080/', authorizationSecretRef: { name: 'bot' } } }],
      ...change,
    },
  })
}

export function pod(ordinal: number, state: 'running' | 'waiting' | 'none' = 'running', totalShards = 8): PodObject {
  const name = `bot-${totalShards}-${ordinal}`
  const labels = { 'shardcluster.dev/cluster': 'bot', [TOTAL_SHARDS_LABEL]: String(totalShards) }
  const states = { running: { running: {} }, waiting: { waiting: { reason: 'ImagePullBackOff' } } }
  return {
    metadata: { name, namespace: 'prod', uid: `uid-of-${name}`, resourceVersion: '1', labels },
    status: {
      phase: state === 'running' ? 'Running' : 'Pending',
      ...(state !== 'none' && { containerStatuses: [{ name: CONTAINER, state: states[state] }] }),
    },
  }
}

const DEFAULTS = { image: 'shardcluster:test', imagePullPolicy: 'IfNotPresent' }

/** As it was applied for `cluster()`, and as its controller has taken it in. */
export const set = (replicas: number, totalShards = 8): StatefulSetObject => ({
  ...statefulSet(cluster(), totalShards, replicas, DEFAULTS),
  metadata: {
    ...statefulSet(cluster(), totalShards, replicas, DEFAULTS).metadata,
    generation: 1,
    name: statefulSetName(cluster(), totalShards),
    namespace: 'prod',
    uid: `uid-of-set-${totalShards}`,
    resourceVersion: '1',
  },
  status: { observedGeneration: 1 },
})

/** A fleet whose workers all have `ready` of their shards connected; default: all. */
export function fleet(totalShards: number | undefined, totalWorkers: number, change: Partial<Fleet> = {}): Fleet {
  const workers: WorkerFleet[] = Array.from({ length: totalWorkers }, (_, ordinal) => {
    const range = totalShards === undefined ? { first: 0, last: -1 } : rangeOf(ordinal, totalShards, totalWorkers)
    const size = range.last - range.first + 1
    return {
      ordinal,
      name: `bot-${totalShards}-${ordinal}`,
      range,
      ready: size,
      held: size,
      connected: true,
      draining: false,
      message: undefined,
      sinks: [{ name: 'bot', state: 'Flowing', pending: 0 }],
    }
  })
  return {
    totalShards,
    workers,
    ready: totalShards ?? 0,
    waiting: 0,
    identifying: 0,
    resuming: 0,
    misplaced: 0,
    fatal: undefined,
    countProblem: undefined,
    failing: [],
    tripped: [],
    cutOff: undefined,
    sessionProblem: undefined,
    maxConcurrency: 16,
    budget: { left: 900, total: 1_000, resetTime: '2026-01-02T00:00:00Z' },
    shortOfBudget: false,
    estimatedEnd: undefined,
    ...change,
  }
}

/** Two workers with all 8 shards, everything in order. */
export function observed(change: Partial<Observed> = {}): Observed {
  return {
    cluster: cluster(),
    status: {},
    credentials: {
      ok: true,
      credentials: { token: TOKEN, restAuthorization: REST_AUTHORIZATION, key: { current: KEY } },
    },
    statefulSets: [set(2)],
    pods: [pod(0), pod(1)],
    fleet: fleet(8, 2),
    settling: false,
    refused: undefined,
    empty: new Set(),
    time: TIME,
    estimatedTime: undefined,
    key: { current: KEY },
    trust: TRUST,
    defaults: DEFAULTS,
    ...change,
  }
}
