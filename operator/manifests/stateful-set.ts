import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { childMeta, selectorOf, serviceName, statefulSetName, TOTAL_SHARDS_LABEL } from './names.ts'
import { type PodDefaults, podTemplate } from './pod.ts'
import { keptTemplate, recordTemplate, TEMPLATE_ANNOTATION } from './template-record.ts'

/**
 * The workers: pod k holds the k-th range of shards. Parallel: no worker waits for another to start. OnDelete: which
 * pod is replaced when is a decision about sessions, not about pods. Scaling changes nothing in the template, so that
 * no pod that stays is restarted.
 *
 * @param recorded The TEMPLATE_ANNOTATION of the set that is there.
 */
export function statefulSet(
  cluster: ShardCluster,
  totalShards: number,
  replicas: number,
  defaults: PodDefaults,
  recorded?: string,
) {
  const labels = { [TOTAL_SHARDS_LABEL]: String(totalShards) }
  const kept = keptTemplate(cluster, recorded)
  const template = kept ?? podTemplate(cluster, defaults, labels)
  const record = (kept && recorded) ?? recordTemplate(cluster, template)
  return {
    metadata: {
      ...childMeta(cluster, statefulSetName(cluster, totalShards), labels),
      annotations: { [TEMPLATE_ANNOTATION]: record },
    },
    spec: {
      replicas,
      serviceName: serviceName(cluster),
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: { ...selectorOf(cluster), ...labels } },
      template,
    },
  }
}
