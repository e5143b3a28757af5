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

/** undefined: all. */
const namespacesOf = ({ namespaces }: CacheOptions) => (namespaces.length > 0 ? namespaces : [undefined])

/** One collection, over all the namespaces that are watched. */
class Collection<T extends StoredObject> {
  readonly reflectors: readonly Reflector<T>[]
  readonly store: StoreReader<T>

  constructor(options: CacheOptions, resource: Resource, labelSelector?: string, indexOf?: IndexOf<T>) {
    this.reflectors = namespacesOf(options).map(
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
  readonly #namespaces: readonly (string | undefined)[]
  readonly #parts: readonly Part[]

  constructor(options: CacheOptions) {
    this.clusters = new Collection(options, shardClusters)
    this.statefulSets = new Collection(options, statefulSets, SELECTOR)
    this.pods = new Collection(options, pods, SELECTOR, clusterKey)
    this.services = new Collection(options, services, SELECTOR)
    this.budgets = new Collection(options, podDisruptionBudgets, SELECTOR)
    const all = [this.clusters, this.statefulSets, this.pods, this.services, this.budgets]
    this.#namespaces = namespacesOf(options)
    this.#parts = this.#namespaces.map((_, index) =>
      all.flatMap(({ reflectors }) => (reflectors[index] as Part[number] | undefined) ?? []),
    )
  }

  /**
   * The first lists are read. A chosen namespace that refuses them does not count, as long as another one does not: its
   * Role is gone, most likely with the namespace, and the ShardClusters of the others must not wait for that.
   */
  get synced(): boolean {
    return this.#parts.some(isSynced) && this.#parts.every((part) => isSynced(part) || part.some((r) => r.refused))
  }

  /** Everything there is in this namespace is known: what is missing there is not there. */
  knows(namespace: string): boolean {
    const [part] = this.#parts.filter((_, index) => (this.#namespaces[index] ?? namespace) === namespace)
    return part !== undefined && isSynced(part)
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#parts.flat().map((reflector) => reflector.run(signal)))
  }

  /** See `synced`. */
  async whenSynced(): Promise<void> {
    await Promise.all(this.#parts.flat().map((reflector) => reflector.whenAnswered()))
    await Promise.any(this.#parts.map((part) => Promise.all(part.map((reflector) => reflector.whenSynced()))))
  }
}

/** What is watched of one namespace, or of all. */
type Part = readonly Pick<Reflector<never>, 'hasSynced' | 'refused' | 'whenAnswered' | 'whenSynced' | 'run'>[]

const isSynced = (part: Part): boolean => part.every(({ hasSynced }) => hasSynced)

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
