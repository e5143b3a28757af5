import type { Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import type { Transport } from './kube/call.ts'
import { changed } from './kube/handlers.ts'
import type { KubeMetrics } from './kube/metrics.ts'
import { controllerOf, type ObjectKey, objectKey, type StoredObject } from './kube/objects.ts'
import { Reflector, type ReflectorTiming } from './kube/reflector.ts'
import { podDisruptionBudgets, pods, type Resource, services, shardClusters, statefulSets } from './kube/resources.ts'
import type { Change, IndexOf, StoreReader } from './kube/store.ts'
import { CLUSTER_LABEL, MANAGED_BY } from './manifests/names.ts'
import type { PodObject, StatefulSetObject } from './reconcile/objects.ts'

export interface CacheOptions extends ReflectorTiming {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly metrics: KubeMetrics
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[]
}

/** Only what this operator made is watched. */
const SELECTOR = Object.entries(MANAGED_BY)
  .map(([key, value]) => `${key}=${value}`)
  .join(',')

/** One collection, over all the namespaces that are watched. */
class Collection<T extends StoredObject> {
  readonly reflectors: readonly Reflector<T>[]
  readonly store: StoreReader<T>

  constructor(options: CacheOptions, resource: Resource, labelSelector?: string, indexOf?: IndexOf<T>) {
    const namespaces = options.namespaces.length > 0 ? options.namespaces : [undefined]
    this.reflectors = namespaces.map(
      (namespace) => new Reflector<T>({ ...options, resource, namespace, labelSelector }, indexOf),
    )
    this.store = union(this.reflectors.map(({ store }) => store))
  }
}

/** What the operator knows of the cluster, kept by watches. */
export class Caches {
  readonly clusters: Collection<StoredObject>
  readonly statefulSets: Collection<StatefulSetObject>
  readonly pods: Collection<PodObject>
  readonly services: Collection<StoredObject>
  readonly budgets: Collection<StoredObject>

  constructor(options: CacheOptions) {
    this.clusters = new Collection(options, shardClusters)
    this.statefulSets = new Collection(options, statefulSets, SELECTOR)
    this.pods = new Collection(options, pods, SELECTOR, clusterKey)
    this.services = new Collection(options, services, SELECTOR)
    this.budgets = new Collection(options, podDisruptionBudgets, SELECTOR)
  }

  get #all(): readonly Pick<Reflector<never>, 'hasSynced' | 'whenSynced' | 'run'>[] {
    const { clusters, statefulSets, pods, services, budgets } = this
    return [
      ...clusters.reflectors,
      ...statefulSets.reflectors,
      ...pods.reflectors,
      ...services.reflectors,
      ...budgets.reflectors,
    ]
  }

  get synced(): boolean {
    return this.#all.every((reflector) => reflector.hasSynced)
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.run(signal)))
  }

  async whenSynced(): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.whenSynced()))
  }
}

/**
 * The ShardCluster whose worker a pod is, by its label: a pod goes on holding shards while somebody takes its StatefulSet
 * away from it.
 */
export function clusterKey({ metadata: { namespace, labels } }: StoredObject): ObjectKey | undefined {
  const name = labels?.[CLUSTER_LABEL]
  return namespace && name ? objectKey(namespace, name) : undefined
}

/** The ShardCluster that a child belongs to, by its owner reference, be it that somebody has just taken it away. */
export function ownerKey(change: Change<StoredObject>): ObjectKey | undefined {
  const owner = controllerOf(change.object) ?? (change.type === 'updated' ? controllerOf(change.previous) : undefined)
  return owner?.kind === shardClusters.kind ? objectKey(change.object.metadata.namespace, owner.name) : undefined
}

/**
 * A child is gone, or not what it was: what was applied may not be what is there. Its status does not count. A
 * generation would not tell: Services have none, and labels and owners do not change it.
 */
export function tampered(change: Change<StoredObject & { readonly spec?: unknown }>): boolean {
  if (change.type !== 'updated') return change.type === 'deleted'
  return differs(change)
}

const differs = changed<StoredObject & { readonly spec?: unknown }>(
  ({ spec }) => spec,
  ({ metadata }) => metadata.labels,
  ({ metadata }) => metadata.ownerReferences,
)

function union<T extends StoredObject>(stores: readonly StoreReader<T>[]): StoreReader<T> {
  const [only] = stores
  if (only && stores.length === 1) return only
  return {
    get size() {
      return stores.reduce((sum, store) => sum + store.size, 0)
    },
    get: (key) => stores.map((store) => store.get(key)).find((object) => object !== undefined),
    list: () => stores.flatMap((store) => store.list()),
    childrenOf: (uid) => stores.flatMap((store) => store.childrenOf(uid)),
    indexed: (value) => stores.flatMap((store) => store.indexed(value)),
  }
}
