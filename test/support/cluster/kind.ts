import { rmSync } from 'node:fs'
import type { Program } from './cluster.ts'
import type { Log } from './kit.ts'

/** Control plane and two workers: what concerns several nodes shows with three, and two cores carry it. */
const NODES = ['control-plane', 'worker', 'worker'] as const

export interface KindOptions {
  readonly name: string
  readonly kubeconfig: string
  /** Omitted: the node image that belongs to the version of kind. */
  readonly nodeImage?: string
  /** The address the API server is published at. Omitted: loopback, as kind does by itself. */
  readonly apiServerAddress?: string
  /** Take a healthy cluster of this name as it is, instead of starting from an empty one. */
  readonly reuse: boolean
  readonly log: Log
}

/** A cluster of three nodes, all of them Ready. What an interrupted run left behind under its name is deleted. */
export async function createKindCluster(kind: Program, kubectl: Program, options: KindOptions): Promise<void> {
  const { name, kubeconfig, nodeImage, reuse, log } = options
  const existing = (await kind(['get', 'clusters'])).split('\n').includes(name)
  if (existing && reuse && (await isHealthy(kind, kubectl, options))) {
    log(`the cluster ${name} is there already and its ${NODES.length} nodes are Ready`)
    return
  }
  if (existing) {
    log(`deleting the cluster ${name} that an earlier run left behind`)
    await deleteKindCluster(kind, name, kubeconfig)
  }
  log(`creating the cluster ${name}: ${NODES.join(', ')}`)
  const image = nodeImage ? ['--image', nodeImage] : []
  const args = ['create', 'cluster', '--name', name, '--kubeconfig', kubeconfig, '--config', '-', '--wait', '300s']
  await kind([...args, ...image], { input: kindConfig(options), timeoutMs: 600_000 })
  await kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=300s'], { timeoutMs: 310_000 })
}

/** Deletes nodes and kubeconfig; a cluster that does not exist is no error. */
export async function deleteKindCluster(kind: Program, name: string, kubeconfig: string): Promise<void> {
  await kind(['delete', 'cluster', '--name', name, '--kubeconfig', kubeconfig], { timeoutMs: 120_000 })
  rmSync(kubeconfig, { force: true })
}

async function isHealthy(kind: Program, kubectl: Program, { name, kubeconfig }: KindOptions): Promise<boolean> {
  try {
    await kind(['export', 'kubeconfig', '--name', name, '--kubeconfig', kubeconfig])
    const ready = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    const answer = await kubectl(['get', 'nodes', '-o', `jsonpath=${ready}`, '--request-timeout=10s'])
    return (
      answer
        .trim()
        .split('\n')
        .filter((status) => status === 'True').length === NODES.length
    )
  } catch {
    return false
  }
}

function kindConfig({ name, apiServerAddress }: KindOptions): string {
  const address = apiServerAddress && { apiServerAddress, apiServerPort: portOf(name) }
  const config = {
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    ...(address ? { networking: address } : {}),
    nodes: NODES.map((role) => ({ role })),
  }
  return JSON.stringify(config)
}

/** kind looks for a free port in its own network, which is not the engine's; so each name has one of its own. */
function portOf(name: string): number {
  let hash = 0
  for (const char of name) hash = (hash * 31 + char.charCodeAt(0)) % 10_000
  return 20_000 + hash
}
