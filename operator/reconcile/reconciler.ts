import { createHash, randomBytes } from 'node:crypto'
import { type ShardCluster, shardClusterSchema } from '../../src/api/shard-cluster.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import { type Clock, timeText } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { done, type Outcome, requeueAfter, TerminalError } from '../kube/controller.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { ObjectKey, StoredObject } from '../kube/objects.ts'
import { shardClusters } from '../kube/resources.ts'
import type { StoreReader } from '../kube/store.ts'
import { CLUSTER_LABEL } from '../manifests/names.ts'
import type { PodDefaults } from '../manifests/pod.ts'
import { Applied } from './applied.ts'
import { type CredentialsAnswer, readCredentials } from './credentials.ts'
import { decide, type Plan } from './decide.ts'
import type { Fleets } from './fleets.ts'
import { ordinalOf, type PodObject, type StatefulSetObject } from './objects.ts'
import type { Observed } from './observed.ts'

export interface ReconcilerOptions {
  readonly client: ObjectClient
  readonly events: EventRecorder
  readonly fleets: Fleets
  readonly clock: Clock
  readonly defaults: PodDefaults
  readonly clusters: StoreReader<StoredObject>
  readonly statefulSets: StoreReader<StatefulSetObject>
  readonly pods: StoreReader<PodObject>
}

/** What is remembered of a ShardCluster between two looks. */
interface Memory {
  readonly uid: string
  status: ShardClusterStatus
  statusHash: string
  credentials: CredentialsAnswer | undefined
  credentialsFor: number
  readonly applied: Applied
}

/** Brings the world nearer to what a ShardCluster asks for: observe, decide, act. */
export class Reconciler {
  readonly #options: ReconcilerOptions
  readonly #memories = new Map<ObjectKey, Memory>()

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  async reconcile(key: ObjectKey, signal: AbortSignal, logger: Logger): Promise<Outcome> {
    const stored = this.#options.clusters.get(key)
    if (!stored || stored.metadata.deletionTimestamp !== undefined) return this.#forget(key)
    const parsed = shardClusterSchema.safeParse(stored)
    if (!parsed.success)
      throw new TerminalError(`ShardCluster ${key} does not fit this operator's API: ${parsed.error.message}`)
    const memory = this.#memoryOf(key, stored.metadata.uid, parsed.data)
    const observed = await this.#observe(key, parsed.data, memory, signal)
    return this.#act(key, stored, parsed.data, decide(observed), memory, signal, logger)
  }

  /** A child changed or vanished: what was applied to it is no longer what is there. */
  invalidate(key: ObjectKey, kind: string, name: string): void {
    this.#memories.get(key)?.applied.forget(kind, name)
  }

  #forget(key: ObjectKey): Outcome {
    this.#options.fleets.remove(key)
    this.#memories.delete(key)
    return done
  }

  #memoryOf(key: ObjectKey, uid: string, cluster: ShardCluster): Memory {
    const known = this.#memories.get(key)
    if (known?.uid === uid) return known
    const status = cluster.status ?? {}
    const memory: Memory = {
      uid,
      status,
      statusHash: '',
      credentials: undefined,
      credentialsFor: -1,
      applied: new Applied(),
    }
    this.#memories.set(key, memory)
    return memory
  }

  async #observe(key: ObjectKey, cluster: ShardCluster, memory: Memory, signal: AbortSignal): Promise<Observed> {
    const { client, fleets, clock, defaults, statefulSets, pods } = this.#options
    const { uid, namespace, name, generation = 0 } = cluster.metadata
    // Read again only when something calls for it: in a steady state there is not one call.
    if (memory.credentialsFor !== generation || !memory.credentials?.ok || isStalled(memory.status)) {
      memory.credentials = await readCredentials(client, cluster, signal)
      memory.credentialsFor = generation
    }
    const manager = fleets.get(key)
    const fleet = manager?.fleet()
    const own = pods
      .list()
      .filter(({ metadata }) => metadata.namespace === namespace && metadata.labels?.[CLUSTER_LABEL] === name)
    return {
      cluster,
      status: memory.status,
      credentials: memory.credentials,
      statefulSets: statefulSets.childrenOf(uid ?? ''),
      pods: own,
      fleet,
      empty: new Set(own.map(ordinalOf).filter((ordinal) => manager?.removable(ordinal))),
      time: timeText(clock, clock.now()),
      estimatedTime: fleet?.estimatedEnd === undefined ? undefined : timeText(clock, fleet.estimatedEnd),
      freshKey: randomBytes(24).toString('base64url'),
      defaults,
    }
  }

  async #act(
    key: ObjectKey,
    stored: StoredObject,
    cluster: ShardCluster,
    plan: Plan,
    memory: Memory,
    signal: AbortSignal,
    logger: Logger,
  ): Promise<Outcome> {
    const { client, fleets, events } = this.#options
    const { namespace } = cluster.metadata
    // The manager first: what runs must not wait for what can fail.
    if (plan.manage) fleets.manage(key, cluster, plan.manage.credentials, plan.manage.totalShards, plan.manage.pods)
    for (const { resource, manifest } of plan.apply) {
      if (!memory.applied.differs(resource.kind, manifest)) continue
      await client.apply(resource, manifest, { signal })
      memory.applied.remember(resource.kind, manifest)
      logger.info({ kind: resource.kind, object: manifest.metadata.name }, 'applied')
      if (resource.kind === 'Secret') memory.credentials = undefined
    }
    for (const { resource, name, uid } of plan.remove)
      await client.delete(resource, { namespace, name }, { uid, signal })
    await this.#writeStatus(cluster, plan.status, memory, signal)
    for (const event of plan.events) events.record({ regarding: stored, resource: shardClusters, ...event })
    return plan.requeue ? requeueAfter(plan.requeue.afterMs, plan.requeue.reason) : done
  }

  async #writeStatus(
    { metadata }: ShardCluster,
    status: ShardClusterStatus,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<void> {
    const hash = createHash('sha256').update(JSON.stringify(status)).digest('hex')
    if (hash === memory.statusHash) return
    const { name, namespace } = metadata
    await this.#options.client.applyStatus(shardClusters, { metadata: { name, namespace }, status } as never, {
      signal,
    })
    memory.status = status
    memory.statusHash = hash
  }
}

const isStalled = ({ conditions }: ShardClusterStatus): boolean =>
  conditions?.some(
    ({ type, status, reason }) => (type === 'Stalled' && status === 'True') || reason.endsWith('Unauthorized'),
  ) ?? false
