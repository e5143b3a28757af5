import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { namespaces, secrets, shardClusters } from '../../../operator/kube/resources.ts'
import { rangeOf, shardsOf } from '../../../src/domain/ranges.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { type Json, manifest } from '../crd-server.ts'
import { type Cluster, eventually, type Operator, type OperatorWorld, startOperatorWorld } from './world.ts'

/**
 * Three ShardClusters of one bot in each of four namespaces, and an operator that reconciles four at once: were one
 * that is broken, or one that changes all the time, in the way of the others, they would never be Ready.
 */

interface Placed {
  readonly namespace: string
  readonly name: string
  readonly totalShards: number
}

const NAMESPACES = ['tenant-0', 'tenant-1', 'tenant-2', 'tenant-3']
const REST_KEY = 'rest-key'
const ALL: readonly Placed[] = NAMESPACES.flatMap((namespace) =>
  [4, 6, 8].map((totalShards) => ({ namespace, name: `bot-${totalShards}`, totalShards })),
)
const is = (namespace: string, name: string) => (one: Placed) => one.namespace === namespace && one.name === name
/** Its Secret is missing, the API server refuses its StatefulSet, its REST proxy never answers; and one is noisy. */
const [noSecret, refused] = [is('tenant-0', 'bot-4'), is('tenant-1', 'bot-4')]
const [noAnswer, noisy] = [is('tenant-2', 'bot-4'), is('tenant-3', 'bot-4')]
const sound = ALL.filter((one) => ![noSecret, refused, noAnswer, noisy].some((matches) => matches(one)))

let world: OperatorWorld
let operator: Operator
let silent: Server
let noise: Promise<number>
const quiet = new AbortController()

beforeAll(async () => {
  world = await startOperatorWorld()
  operator = await world.operator()
  silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const proxies = new Map<string, string>()
  for (const [index, namespace] of NAMESPACES.entries()) {
    await world.client.apply(namespaces, { metadata: { name: namespace } })
    proxies.set(namespace, await world.restProxy(tokenOf(index)))
    await secret(namespace, 'bot', tokenOf(index))
  }
  // A bot of its own: those of one bot ask whichever proxy answers.
  await secret('tenant-2', 'alone', tokenOf(4))
  // The broken ones first.
  for (const one of [...ALL].sort((a, b) => Number(sound.includes(a)) - Number(sound.includes(b)))) {
    const { port } = silent.address() as AddressInfo
    await create(one, (spec) => {
      spec['rest'] = {
        baseUrl: proxies.get(one.namespace),
        authorizationSecretRef: { name: 'bot' },
        timeoutSeconds: 30,
      }
      if (noSecret(one)) spec['tokenSecretRef'] = { name: 'missing' }
      if (refused(one)) spec['worker'] = { tolerations: [{ operator: 'Sometimes' }] }
      if (!noAnswer(one)) return
      spec['tokenSecretRef'] = { name: 'alone' }
      spec['rest'] = { baseUrl: `http://127.0.0.1:${port}`, timeoutSeconds: 30 }
    })
  }
  noise = changeAllTheTime()
})
afterAll(async () => {
  quiet.abort()
  await noise
  await world?.close()
  silent?.closeAllConnections()
  silent?.close()
})

const tokenOf = (index: number) => fakeToken(`2000000000000000${index}`)
const secret = (namespace: string, name: string, token: string) =>
  world.client.apply(secrets, {
    metadata: { namespace, name },
    ...{ stringData: { token, 'rest-authorization': REST_KEY } },
  })
async function create({ namespace, name, totalShards }: Placed, change: (spec: Json) => void): Promise<void> {
  const cluster = manifest(name, (spec) => {
    spec['totalShards'] = totalShards
    spec['identify'] = { windowMilliseconds: 200 }
    change(spec)
  })
  cluster.metadata['namespace'] = namespace
  await world.server.create(cluster)
}
const get = ({ namespace, name }: Placed) => world.client.get<Cluster>(shardClusters, { namespace, name })
const condition = async (one: Placed, wanted: string) =>
  (await get(one))?.status?.conditions?.find(({ type }) => type === wanted)
const patch = ({ namespace, name }: Placed, spec: object) =>
  world.server.kubectl(['-n', namespace, 'patch', 'shc', name, '--type=merge', '-p', JSON.stringify({ spec })])
/** Shards of each of its pods' workers. */
async function held({ namespace, name, totalShards }: Placed) {
  const workers = [...world.kubelet.workers].filter(([key]) => key.startsWith(`${namespace}/${name}-${totalShards}-`))
  return await Promise.all(workers.sort(([a], [b]) => a.localeCompare(b)).map(([, worker]) => worker.held()))
}
const placed = ({ totalShards }: Placed, workers: number) =>
  Array.from({ length: workers }, (_, ordinal) => [...shardsOf(rangeOf(ordinal, totalShards, workers))])

/** One ShardCluster's manifest and its workers' reports change as fast as they can be. @returns how often. */
async function changeAllTheTime(): Promise<number> {
  const one = ALL.find(noisy) as Placed
  const identify = { windowMilliseconds: 200 }
  let changes = 0
  while (!quiet.signal.aborted) {
    const spec = { ...(await get(one))?.spec, identify: { ...identify, reserve: ++changes % 50 } }
    await world.client.apply(shardClusters, { metadata: { namespace: one.namespace, name: one.name }, ...{ spec } })
    for (const [key, worker] of world.kubelet.workers)
      if (key.startsWith(`${one.namespace}/${one.name}-`)) worker.report(worker.sinks)
  }
  return changes
}

const stillBroken = async () => {
  const [first, second, third] = [noSecret, refused, noAnswer].map((matches) => ALL.find(matches) as Placed)
  expect(await condition(first as Placed, 'Stalled')).toMatchObject({ status: 'True', reason: 'SecretNotFound' })
  expect(await condition(second as Placed, 'Stalled')).toMatchObject({ status: 'True', reason: 'ApplyFailed' })
  expect(await condition(third as Placed, 'Ready')).toMatchObject({ status: 'False' })
}

describe('beside three that are broken and one that changes all the time', () => {
  it('all others become Ready, each on its own workers', async () => {
    for (const one of sound) {
      await eventually(async () => expect(await condition(one, 'Ready'), one.name).toMatchObject({ status: 'True' }))
      expect(await held(one)).toEqual(placed(one, 2))
    }
    await stillBroken()
  })

  it('all others are scaled', async () => {
    for (const one of sound) await patch(one, { totalWorkers: 3 })
    for (const one of sound) await eventually(async () => expect(await held(one)).toEqual(placed(one, 3)))
    await stillBroken()
  })

  it('no IDENTIFY is spent twice, and no rule of Discord broken, though bots share their buckets', async () => {
    const ofBot = (index: number) =>
      world.simulator.stats().bots.find(({ applicationId }) => applicationId === `2000000000000000${index}`)
    for (const [index, namespace] of NAMESPACES.entries()) {
      const running = ALL.filter((one) => one.namespace === namespace && (sound.includes(one) || noisy(one)))
      const identifies = running.reduce((sum, { totalShards }) => sum + totalShards, 0)
      await eventually(() => expect(ofBot(index)).toMatchObject({ identifies, connectedShards: identifies }))
      expect(ofBot(index)?.violationDetails).toEqual([])
    }
  })

  it('the noisy one is Ready, too, and its noise was no error', async () => {
    const one = ALL.find(noisy) as Placed
    await eventually(async () => expect(await condition(one, 'Ready')).toMatchObject({ status: 'True' }))
    quiet.abort()
    expect(await noise).toBeGreaterThan(50)
    const errors = await operator.metric('controller_runtime_reconcile_errors_total')
    expect([...errors.values()].reduce((sum, count) => sum + count, 0)).toBe(0)
  })
})

describe('the broken ones, put right', () => {
  it('become Ready', async () => {
    const [first, second, third] = [noSecret, refused, noAnswer].map((matches) => ALL.find(matches) as Placed)
    await secret('tenant-0', 'missing', tokenOf(0))
    await patch(second as Placed, { worker: { tolerations: null } })
    const url = await world.restProxy(tokenOf(4))
    await patch(third as Placed, { rest: { baseUrl: url, authorizationSecretRef: { name: 'bot' } } })
    for (const one of [first, second, third] as Placed[])
      await eventually(async () =>
        expect(await condition(one, 'Ready'), one.namespace).toMatchObject({ status: 'True' }),
      )
  })
})
