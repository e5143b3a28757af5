import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { controllerOf, type StoredObject } from '../kube/objects.ts'
import { shardClusters } from '../kube/resources.ts'
import { CLUSTER_LABEL, MANAGED_BY } from '../manifests/names.ts'

/**
 * Whose an object is that has the name of a child, in words; undefined: it is this ShardCluster's, or nobody's any more.
 * What is not ours is not touched: applying it would take it over, and the ShardCluster's end would take it along.
 * An object without a controller that carries our labels was left by `kubectl delete --cascade=orphan`, and is adopted,
 * as Kubernetes' own controllers do.
 */
export function strangerOf(object: StoredObject, { metadata }: ShardCluster): string | undefined {
  const controller = controllerOf(object)
  if (controller?.uid === metadata.uid) return undefined
  if (controller?.kind === shardClusters.kind && controller.name === metadata.name)
    return `an earlier ${controller.kind} of this name, with which it will be deleted`
  if (controller) return `the ${controller.kind} ${controller.name}`
  const { labels = {} } = object.metadata
  const [managedBy] = Object.entries(MANAGED_BY)
  const orphan = managedBy && labels[managedBy[0]] === managedBy[1] && labels[CLUSTER_LABEL] === metadata.name
  return orphan ? undefined : 'nobody that this operator knows'
}

/** What the user is told of it. */
export const notOurs = (kind: string, name: string, stranger: string): string =>
  `The ${kind} ${name}, which this ShardCluster needs, exists already and belongs to ${stranger}. It is left as it is: delete or rename it, or give the ShardCluster another name.`
