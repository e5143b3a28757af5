import { KubeConfig } from '@kubernetes/client-node'
import { pino } from 'pino'
import { elect } from '../../../operator/kube/leader.ts'
import { leaseApi } from '../../../operator/kube/lease.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { type Clock, systemClock } from '../../../src/support/clock.ts'

/**
 * A candidate in a process of its own, so that it can be killed as pods are: `candidate.ts <kubeconfig> <namespace>
 * <identity> [<milliseconds by which its wall clock is ahead>]`. Prints `leading <term>` and `over <why>`; SIGTERM stops
 * it in order.
 */
const [kubeconfig = '', namespace = '', identity = '', skewMs = '0'] = process.argv.slice(2)
const clock: Clock = { ...systemClock, date: () => new Date(Date.now() + Number(skewMs)) }
const kubeConfig = new KubeConfig()
kubeConfig.loadFromFile(kubeconfig)
const logger = pino({ level: 'silent' })
const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
const say = (line: string) => process.stdout.write(`${line}\n`)

say('ready')
await elect(
  {
    leases: leaseApi(transport),
    identity,
    namespace,
    name: 'operator',
    clock,
    random: Math.random,
    logger,
    timing: { leaseMs: 4_000, renewMs: 3_000, retryMs: 300 },
    onStartedLeading: async (term, signal) => {
      say(`leading ${term}`)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    },
    onStoppedLeading: (why) => say(`over ${why}`),
  },
  stop.signal,
)
await transport.close()
