import { API_VERSION, KIND, type ShardCluster } from '../../src/api/shard-cluster.ts'
import type { OwnerReference } from '../kube/objects.ts'

/** Who made it, and whose it is: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'shardcluster-operator' } as const
export const CLUSTER_LABEL = 'shardcluster.dev/cluster'
export const TOTAL_SHARDS_LABEL = 'shardcluster.dev/total-shards'

/** A child's labels; they are the same on all, so that one selector finds everything of a ShardCluster. */
export const labelsOf = (cluster: ShardCluster): Record<string, string> => ({
  ...MANAGED_BY,
  'app.kubernetes.io/name': 'shardcluster',
  'app.kubernetes.io/component': 'sharder',
  'app.kubernetes.io/instance': cluster.metadata.name,
  [CLUSTER_LABEL]: cluster.metadata.name,
})

/** What selects the worker pods of a ShardCluster. */
export const selectorOf = (cluster: ShardCluster): Record<string, string> => ({
  'app.kubernetes.io/component': 'sharder',
  [CLUSTER_LABEL]: cluster.metadata.name,
})

/** A selector as one string: what `.status.selector` must be for HorizontalPodAutoscaler. */
export const selectorText = (selector: Record<string, string>): string =>
  Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',')

/** Another number of shards is another set: its pods hold other ranges. */
export const statefulSetName = (cluster: ShardCluster, totalShards: number): string =>
  `${cluster.metadata.name}-${totalShards}`

export const serviceName = (cluster: ShardCluster): string => `${cluster.metadata.name}-sharders`

export const keySecretName = (cluster: ShardCluster): string => `${cluster.metadata.name}-sharder-key`
export const KEY_SECRET_KEY = 'authorization'

/** The authority that signs what workers serve TLS with. */
export const authoritySecretName = (cluster: ShardCluster): string => `${cluster.metadata.name}-sharder-ca`
/** What workers serve TLS with. */
export const tlsSecretName = (cluster: ShardCluster): string => `${cluster.metadata.name}-sharder-tls`
/** https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets */
export const TLS_SECRET_KEYS = { certificate: 'tls.crt', privateKey: 'tls.key' } as const

/** The one name in the certificates of all workers, whatever address they are reached at: nothing resolves it. */
export const servernameOf = ({ metadata: { name, namespace } }: ShardCluster): string =>
  `${name}-sharders.${namespace}.svc`

/** Garbage collection removes a child with its ShardCluster: no finalizer is needed. */
export function ownerOf({ metadata }: ShardCluster): OwnerReference {
  if (metadata.uid === undefined)
    throw new Error(`ShardCluster ${metadata.name} has no uid: it was not read from the API server`)
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    name: metadata.name,
    uid: metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** metadata of a child. */
export const childMeta = (cluster: ShardCluster, name: string, labels: Record<string, string> = {}) => ({
  name,
  namespace: cluster.metadata.namespace,
  labels: { ...labelsOf(cluster), ...labels },
  ownerReferences: [ownerOf(cluster)],
})
