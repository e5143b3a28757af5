import { randomBytes } from 'node:crypto'
import { KubeConfig } from '@kubernetes/client-node'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { startBotApi } from '../src/bot-api/bot-api.ts'
import { createManagerMetrics } from '../src/manager/metrics.ts'
import { registerUnexpectedErrors } from '../src/support/background.ts'
import { registerBuildInfo } from '../src/support/build-info.ts'
import { systemClock } from '../src/support/clock.ts'
import { createLogger } from '../src/support/logger.ts'
import { createThreadMetrics } from '../src/support/thread-metrics.ts'
import { Caches } from './caches.ts'
import { parseConfig } from './config.ts'
import { createFleetMetrics } from './fleet-metrics.ts'
import { onAbort } from './kube/call.ts'
import { onlyWhile } from './kube/guarded.ts'
import { startHealthServer } from './kube/health.ts'
import { type ElectionEnd, elect } from './kube/leader.ts'
import { leaseApi } from './kube/lease.ts'
import { createKubeMetrics } from './kube/metrics.ts'
import { KubeTransport } from './kube/transport.ts'
import { lead } from './lead.ts'

/**
 * The operator: watches, takes part in the election, and works while it leads. Resolves after a clean end; a lost
 * Lease ends the process with an error, because only a fresh process knows nothing that is out of date.
 */
export async function runOperator(environment: Record<string, string | undefined>, stop: AbortSignal): Promise<void> {
  const config = parseConfig(environment)
  const logger = createLogger('operator', config.logLevel)
  const clock = systemClock
  const random = Math.random
  const shared = { clock, random, logger }
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const metrics = createKubeMetrics(registry)
  const managerMetrics = createManagerMetrics(registry)
  const fleetMetrics = createFleetMetrics(registry)
  registerBuildInfo(registry, 'shardcluster_build_info')
  registerUnexpectedErrors(registry)
  const ended = createThreadMetrics(registry, ['bot-api', 'probes'])
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromDefault()
  const transport = KubeTransport.fromConfig(kubeConfig, { clock, logger, metrics })
  const caches = new Caches({ transport, clock, random, logger, metrics, namespaces: config.watchNamespaces })
  const identity = `${config.podName}_${randomBytes(4).toString('hex')}`
  const health = await startHealthServer({
    ...shared,
    onEnded: ended('probes'),
    host: '0.0.0.0',
    probePort: config.httpPort,
    metricsPort: config.httpPort,
    live: { ping: () => undefined },
    ready: { caches: () => (caches.synced ? undefined : 'the first lists have not been read') },
    registry,
  })
  const botApi = await startBotApi({ ...shared, host: '0.0.0.0', port: config.apiPort, onEnded: ended('bot-api') })
  logger.info({ url: health.probeUrl, watch: config.watchNamespaces, identity }, 'the operator is up')
  const watching = new AbortController()
  const watches = caches.run(watching.signal)
  let end: ElectionEnd
  try {
    // An API server that does not answer must not keep the process from ending.
    await Promise.race([caches.whenSynced(), aborted(stop)])
    end = await elect(
      {
        leases: leaseApi(transport),
        identity,
        namespace: config.namespace,
        name: config.leaseName,
        clock,
        random,
        logger,
        metrics,
        onStartedLeading: (term, signal, held) =>
          lead(
            {
              ...{ ...shared, config, metrics, managerMetrics, fleetMetrics },
              ...{ transport: onlyWhile(held, transport), caches, identity, botApi, ending: stop },
            },
            term,
            signal,
          ),
        onStoppedLeading: (why) => logger.info({ why }, 'no longer leading'),
      },
      stop,
    )
  } finally {
    watching.abort()
    await watches
    await botApi.close()
    await health.close()
    await transport.close()
  }
  if (end === 'lost')
    throw new Error('the leader Lease was lost: the process ends, so that a fresh one takes part again')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, resolve))
}
