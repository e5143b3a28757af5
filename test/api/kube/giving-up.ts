import { setTimeout as delay } from 'node:timers/promises'
import { KubeConfig } from '@kubernetes/client-node'
import { pino } from 'pino'
import { configMaps, pathOf } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { systemClock } from '../../../src/support/clock.ts'

/**
 * A process that begins calls with a body and gives them up, some before a byte of them is sent: `giving-up.ts
 * <kubeconfig>`. Prints how many it gave up, once a last call has got its answer.
 */
const kubeConfig = new KubeConfig()
kubeConfig.loadFromFile(process.argv[2] ?? '')
const logger = pino({ level: 'silent' })
const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger })
const path = pathOf(configMaps, { namespace: 'default', name: 'giving-up' })
const call = (bytes: number, signal?: AbortSignal) =>
  transport.request({
    ...{ method: 'PATCH', path, query: { fieldManager: 'test' }, contentType: 'application/apply-patch+yaml', signal },
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'giving-up' }, data: { x: 'x'.repeat(bytes) } },
  })
await call(1)

let givenUp = 0
for (let round = 0; round < 100; round += 1) {
  const limit = new AbortController()
  const calls: Promise<unknown>[] = []
  const begin = () => {
    const begun = call(10 ** (round % 6), limit.signal)
    calls.push(begun.catch(() => givenUp++))
  }
  // Timers that are due together fire in one go, as after a suspension.
  setTimeout(begin, 1)
  setTimeout(() => limit.abort(), 1 + (round % 3))
  if (round % 2 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6)
  await delay(10)
  await Promise.all(calls)
}
await call(1)
process.stdout.write(`${givenUp}\n`)
await transport.close()
