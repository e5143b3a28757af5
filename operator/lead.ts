import type { BotApi } from '../src/bot-api/bot-api.ts'
import { workerAgent } from '../src/manager/http-worker.ts'
import { Lanes } from '../src/manager/lanes.ts'
import type { ManagerMetrics } from '../src/manager/metrics.ts'
import type { Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { apiSource } from './bot-api.ts'
import { type Caches, clusterKey, ownerKey, tampered } from './caches.ts'
import type { OperatorConfig } from './config.ts'
import type { FleetMetrics } from './fleet-metrics.ts'
import { ObjectClient } from './kube/apply.ts'
import type { Transport } from './kube/call.ts'
import { Controller, requeueAfter } from './kube/controller.ts'
import { EventRecorder } from './kube/events.ts'
import { changed, enqueueObject, generationChanged } from './kube/handlers.ts'
import type { KubeMetrics } from './kube/metrics.ts'
import { type StoredObject, splitKey } from './kube/objects.ts'
import type { Change } from './kube/store.ts'
import { WorkQueue } from './kube/workqueue.ts'
import { Fleets } from './reconcile/fleets.ts'
import type { PodObject } from './reconcile/objects.ts'
import { Reconciler } from './reconcile/reconciler.ts'
import { restWay } from './rest-hosts.ts'

export interface LeadOptions {
  readonly config: OperatorConfig
  /** Sends nothing once the Lease is not held any more. */
  readonly transport: Transport
  readonly caches: Caches
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly metrics: KubeMetrics
  readonly managerMetrics: ManagerMetrics
  readonly fleetMetrics: FleetMetrics
  readonly identity: string
  readonly botApi: Pick<BotApi, 'serve'>
  /** Aborted when the process ends in good order, not when the Lease is lost: then another leader has spoken already. */
  readonly ending: AbortSignal
}

export const FIELD_MANAGER = 'shardcluster-operator'

/** Reconciles at once, each of another ShardCluster. */
const WORKERS = 4

/** A fleet that changes all the time is looked at this often, in milliseconds: a status write a second is enough. */
const FLEET_PACE_MS = 1_000

/** A ShardCluster whose pods, say, are not known, is looked at again after so many milliseconds. */
const UNKNOWN_AGAIN_MS = 2_000

/** The leader's work: everything that writes. Ends when `signal` aborts; shards go on without it. */
export async function lead(options: LeadOptions, term: number, signal: AbortSignal): Promise<void> {
  const { config, transport, caches, clock, random, logger, metrics, managerMetrics, identity, ending } = options
  const queue = new WorkQueue({ name: 'shardcluster', clock, metrics })
  const events = new EventRecorder({
    transport,
    controller: 'shardcluster.dev/operator',
    instance: identity,
    clock,
    random,
    logger,
    metrics,
  })
  const agent = workerAgent()
  await using rest = restWay(config.restHosts)
  const lanes = new Lanes({ clock, random, logger, leadingSince: clock.now() })
  const onChange = (key: string) => queue.addAfter(key, FLEET_PACE_MS)
  const client = new ObjectClient(transport, FIELD_MANAGER)
  const shared = { clock, random, logger, client }
  const fleets = new Fleets({
    ...shared,
    lanes,
    restWay: rest,
    dispatcher: agent,
    metrics: managerMetrics,
    term,
    onChange,
  })
  const reconciler = new Reconciler({
    client,
    events,
    fleets,
    clock,
    defaults: { image: config.workerImage, imagePullPolicy: config.workerImagePullPolicy },
    clusters: caches.clusters.store,
    statefulSets: caches.statefulSets.store,
    pods: caches.pods.store,
    lookAgain: (key, milliseconds) => queue.addAfter(key, milliseconds),
  })
  const standDown = options.botApi.serve(apiSource({ clusters: caches.clusters.store, fleets, client }))
  const unsubscribe = [
    ...subscribe(caches, queue, reconciler),
    options.fleetMetrics.show({ fleets: () => fleets.all(), clusters: () => caches.clusters.store.list() }),
  ]
  try {
    const controller = new Controller({
      name: 'shardcluster',
      queue,
      workers: WORKERS,
      timeoutMs: 60_000,
      clock,
      logger,
      metrics,
      reconcile: async (key, aborted, log) =>
        caches.knows(splitKey(key).namespace ?? '')
          ? reconciler.reconcile(key, aborted, log)
          : requeueAfter(UNKNOWN_AGAIN_MS, 'its namespace cannot be read'),
    })
    await controller.run(signal)
  } finally {
    standDown()
    for (const end of unsubscribe) end()
    await fleets.stop(ending.aborted)
    await events.close(2_000)
    await agent.destroy()
  }
}

/** What happens in the cluster, as keys in the queue. */
function subscribe(caches: Caches, queue: WorkQueue, reconciler: Reconciler): (() => void)[] {
  const onCluster = enqueueObject<StoredObject>(
    queue,
    (change) => generationChanged(change) || changed<StoredObject>(({ metadata }) => metadata.annotations)(change),
  )
  const onChild = (kind: string) => (change: Change<StoredObject>) => {
    const key = ownerKey(change)
    if (key === undefined) return
    if (tampered(change)) reconciler.invalidate(key, kind, change.object.metadata.name)
    queue.add(key)
  }
  // Pods belong to the StatefulSet; what matters of them is whether they run, and where.
  const relevant = changed<PodObject>(
    ({ status }) => status?.podIP,
    ({ status }) => status?.containerStatuses?.map(({ state }) => state),
    ({ status }) => status?.phase,
    ({ metadata }) => metadata.deletionTimestamp,
    ({ status }) => status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message,
  )
  const onPod = (change: Change<PodObject>) => {
    if (!relevant(change)) return
    const key = clusterKey(change.object)
    if (key !== undefined) queue.add(key)
  }
  return [
    ...caches.clusters.reflectors.map((reflector) => reflector.subscribe(onCluster)),
    ...caches.statefulSets.reflectors.map((reflector) => reflector.subscribe(onChild('StatefulSet'))),
    ...caches.services.reflectors.map((reflector) => reflector.subscribe(onChild('Service'))),
    ...caches.budgets.reflectors.map((reflector) => reflector.subscribe(onChild('PodDisruptionBudget'))),
    ...caches.pods.reflectors.map((reflector) => reflector.subscribe(onPod)),
  ]
}
