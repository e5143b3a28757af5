import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { childMeta, selectorOf, serviceName } from './names.ts'

/**
 * Drains take one worker at a time: its shards resume before the next goes.
 * AlwaysAllow: a pod that is not ready holds nothing that an eviction could harm, and must not block a drain for ever.
 */
export function podDisruptionBudget(cluster: ShardCluster) {
  return {
    metadata: childMeta(cluster, serviceName(cluster)),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorOf(cluster) },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  }
}
