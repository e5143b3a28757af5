import { KubeConfig } from '@kubernetes/client-node'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import type { Dispatcher } from 'undici'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import { createKubeMetrics } from '../../../operator/kube/metrics.ts'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { configMaps, namespaces } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { type ApiServer, startApiServer } from '../../support/apiserver/apiserver.ts'
import { FaultProxy } from '../../support/fault-proxy.ts'

export const quiet = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' })

export interface ConfigMap extends StoredObject {
  readonly data?: Readonly<Record<string, string>>
}

/** A transport with its metrics, directly or through the fault proxy. */
export interface Link {
  readonly transport: KubeTransport
  readonly client: ObjectClient
  readonly metrics: ReturnType<typeof createKubeMetrics>
  readonly registry: Registry
}

/** An API server, a fault proxy before it, and everything opened through them, closed together. */
export interface World {
  readonly server: ApiServer
  readonly proxy: FaultProxy
  /** Not through the proxy: what the rest of the world does. */
  readonly direct: Link
  /** A fresh link through the proxy. */
  link(options?: { intercept?: (real: Dispatcher) => Dispatcher; manager?: string; direct?: boolean }): Link
  /** A new namespace with a name of its own. */
  namespace(): Promise<string>
  close(): Promise<void>
}

export async function startWorld(): Promise<World> {
  const server = await startApiServer()
  const { hostname, port } = new URL(server.url)
  const proxy = await FaultProxy.start({ host: hostname, port: Number(port) })
  const links: Link[] = []
  const link: World['link'] = ({ intercept, manager = 'shardcluster-operator', direct = false } = {}) => {
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(server.kubeconfig)
    const cluster = kubeConfig.getCurrentCluster()
    if (!cluster) throw new Error('the kubeconfig of the test API server has no cluster')
    if (!direct) {
      const server = cluster.server.replace(/:\d+$/, `:${proxy.port}`)
      kubeConfig.clusters = kubeConfig.clusters.map((other) =>
        other.name === cluster.name ? { ...other, server } : other,
      )
    }
    const registry = new Registry()
    const metrics = createKubeMetrics(registry)
    const options = { clock: systemClock, logger: quiet, metrics, ...(intercept ? { intercept } : {}) }
    const transport = KubeTransport.fromConfig(kubeConfig, options)
    const made = { transport, client: new ObjectClient(transport, manager), metrics, registry }
    links.push(made)
    return made
  }
  const direct = link({ direct: true })
  let count = 0
  return {
    server,
    proxy,
    direct,
    link,
    async namespace() {
      const name = `kube-${process.pid}-${++count}`
      await direct.client.apply(namespaces, { metadata: { name } })
      return name
    },
    async close() {
      await Promise.all(links.map(({ transport }) => transport.close()))
      await proxy.close()
      await server.stop()
    },
  }
}

/** Creates or changes a ConfigMap, past the proxy. */
export function put(world: World, namespace: string, name: string, value: string, labels?: Record<string, string>) {
  const metadata = { namespace, name, ...(labels ? { labels } : {}) }
  return world.direct.client.apply<ConfigMap>(configMaps, { metadata, ...{ data: { value } } })
}

/** Waits until `check` stops throwing; its last error is the failure. The limit is for a busy machine. */
export async function eventually<T>(check: () => T | Promise<T>, limitMs = 40_000): Promise<T> {
  const endsAt = performance.now() + limitMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > endsAt) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
