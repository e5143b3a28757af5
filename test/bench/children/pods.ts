// What a cluster with nodes would be, as a process: pods that run workers of the tests, and a REST proxy for each bot.
// Its first argument, as JSON, is PodsOptions.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { startRestProxy } from '../../../src/rest-proxy/index.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { TestKubelet } from '../../api/operator/kubelet.ts'
import { startTestWorker } from '../../api/operator/pod-worker.ts'
import type { PodsOptions } from '../harness/pods.ts'
import { takeOrders } from './orders.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as PodsOptions
const { kubeconfig, discordUrl, authorization } = options
const logger = createLogger('pods', 'silent')
const kubeConfig = new KubeConfig()
kubeConfig.loadFromFile(kubeconfig)
const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger })
const kubelet = new TestKubelet(new ObjectClient(transport, 'bench-kubelet'), startTestWorker)
// Nobody changes a Secret of a pod that runs; looking for it all the time would be most of the API server's work.
kubelet.volumesLag = true

const proxies: string[] = []
for (const token of options.tokens) {
  const settings = { token, port: 0, authorization, discordUrl: `${discordUrl}/api`, timeoutMs: 3_000 }
  proxies.push((await startRestProxy(settings, logger)).url)
}
/** A REST proxy that takes every request and answers none. */
const hanging = createServer(() => {}).listen(0, '127.0.0.1')
await once(hanging, 'listening')

const hangingProxy = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`
takeOrders({}, { proxies, hangingProxy })
