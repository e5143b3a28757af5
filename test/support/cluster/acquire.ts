import { existsSync } from 'node:fs'
import { claimCluster, clusterFile, dropClaim, keepClaim } from './cache.ts'
import { chooseWay, type Way } from './choose.ts'
import { type Cluster, openCluster } from './cluster.ts'
import { createKindCluster, deleteKindCluster } from './kind.ts'
import { kitRelease, type Log, watchClaim } from './kit.ts'
import { type Ground, prepareGround } from './ways.ts'

export interface AcquireOptions {
  /** Of the kind cluster. Two runs cannot hold one name at a time. */
  readonly name: string
  readonly log: Log
  /** Let the cluster outlive this process, and take it as it is when it is there. Default: SHARDCLUSTER_KEEP_CLUSTER=1. */
  readonly keep?: boolean
}

/** A cluster this process holds. */
export interface AcquiredCluster extends Cluster {
  /** Deletes the cluster and stops the engine, or leaves both running when the cluster is kept. */
  dispose(): Promise<void>
}

const DESCRIPTIONS: Record<Way['kind'], string> = {
  given: 'the given cluster',
  docker: 'kind on the Docker engine',
  kit: 'kind on an engine and a node image of our own',
}

/**
 * A real cluster, by the first of three ways that works here (see `chooseWay`), and says which and why.
 * @throws ClusterBusy, CommandFailed
 */
export async function acquireCluster({ name, log, ...options }: AcquireOptions): Promise<AcquiredCluster> {
  const keep = options.keep ?? process.env['SHARDCLUSTER_KEEP_CLUSTER'] === '1'
  const way = await chooseWay(process.env)
  log(`cluster: ${DESCRIPTIONS[way.kind]}, because ${way.why}`)
  if (way.kind === 'given') {
    const { handle } = await prepareGround(way, name, log)
    return { ...openCluster(handle), dispose: async () => {} }
  }
  claimCluster(name)
  try {
    if (way.kind === 'kit') watchClaim(name)
    const ground = await prepareGround(way, name, log)
    const cluster = await create(ground, keep, log)
    return { ...cluster, dispose: () => (keep ? leave(cluster, log) : remove(cluster, log)) }
  } catch (error) {
    await release(name, way.kind, log)
    throw error
  }
}

/** Deletes the cluster `name`, kept or left behind, and stops the engine when nothing else needs it. */
export async function removeCluster(name: string, log: Log): Promise<void> {
  if (!existsSync(clusterFile(name, 'claim'))) return log(`there is no cluster ${name}`)
  // Not the given cluster: that one is somebody else's.
  const { SHARDCLUSTER_TEST_KUBECONFIG: _given, ...environment } = process.env
  claimCluster(name)
  const { handle } = await prepareGround(await chooseWay(environment), name, log)
  await remove(openCluster(handle), log)
}

async function create({ handle, nodeImage, apiServerAddress }: Ground, reuse: boolean, log: Log): Promise<Cluster> {
  const cluster = openCluster(handle)
  const { name, kubeconfig, kind, kubectl } = cluster
  if (!kind) throw new Error('creating a cluster needs kind')
  await createKindCluster(kind, kubectl, {
    name,
    kubeconfig,
    reuse,
    log,
    ...(nodeImage ? { nodeImage } : {}),
    ...(apiServerAddress ? { apiServerAddress } : {}),
  })
  return cluster
}

async function remove(cluster: Cluster, log: Log): Promise<void> {
  const { name, kind, kubeconfig, way } = cluster
  log(`deleting the cluster ${name}`)
  if (kind) await deleteKindCluster(kind, name, kubeconfig)
  await release(name, way, log)
}

async function leave({ name, kubeconfig }: Cluster, log: Log): Promise<void> {
  keepClaim(name)
  log(`the cluster ${name} is kept: KUBECONFIG=${kubeconfig}`)
}

async function release(name: string, way: Way['kind'], log: Log): Promise<void> {
  dropClaim(name)
  if (way === 'kit') await kitRelease(log)
}
