import type { TestProject } from 'vitest/node'
import { type AcquiredCluster, acquireCluster } from '../support/cluster/acquire.ts'
import type { ClusterHandle } from '../support/cluster/cluster.ts'
import { buildImage } from '../support/cluster/image.ts'
import { progressLog } from '../support/cluster/progress.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The cluster of this run: `openCluster(inject('cluster'))`. */
    cluster: ClusterHandle
    /** The project's image, loaded on every node. */
    image: string
  }
}

let cluster: AcquiredCluster | undefined

/** Once before all end-to-end tests: a cluster of three nodes with the project's image on them. */
export async function setup(project: TestProject): Promise<void> {
  const log = progressLog('e2e')
  cluster = await acquireCluster({ name: 'shardcluster-e2e', log })
  try {
    const image = await buildImage(cluster, { log })
    const { name, way, kubeconfig, hostAddress, environment, programs } = cluster
    project.provide('cluster', { name, way, kubeconfig, hostAddress, environment, programs })
    project.provide('image', image)
    log('ready')
  } catch (error) {
    await teardown()
    throw error
  }
}

/** Once after them. */
export async function teardown(): Promise<void> {
  await cluster?.dispose()
}
