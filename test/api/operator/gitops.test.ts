import { KubeConfig } from '@kubernetes/client-node'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createKubeMetrics } from '../../../operator/kube/metrics.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { shardClusters, statefulSets } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { CONDITION_TYPES } from '../../../src/api/conditions.ts'
import { rangeOf, shardsOf } from '../../../src/domain/ranges.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { type Kstatus, kstatus } from '../../support/kstatus.ts'
import { type Bot, type Cluster, eventually, type OperatorWorld, quiet, startOperatorWorld } from './world.ts'

/** What Flux and others make of a ShardCluster, judged by every version of it that the API server ever had. */

let world: OperatorWorld
let bot: Bot
const seen: Cluster[] = []
const ending = new AbortController()
let watching: Promise<void>
let transport: KubeTransport
beforeAll(async () => {
  world = await startOperatorWorld()
  bot = await world.bot()
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(world.server.kubeconfig)
  transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger: quiet })
  const { namespace } = bot
  const reflector = new Reflector<Cluster>({
    ...{ transport, namespace, resource: shardClusters, clock: systemClock, random: Math.random, logger: quiet },
    metrics: createKubeMetrics(new Registry()),
  })
  reflector.subscribe(({ object }) => void seen.push(object))
  watching = reflector.run(ending.signal)
  await reflector.whenSynced()
})
afterAll(async () => {
  ending.abort()
  await watching
  await transport?.close()
  await world?.close()
})

const becomes = (wanted: Kstatus, generation: number) =>
  eventually(() => {
    const last = seen.at(-1)
    expect(last?.metadata.generation).toBe(generation)
    expect(last && kstatus(last), JSON.stringify(last?.status?.conditions)).toBe(wanted)
  })
/** Of one generation, without repetitions. */
const series = (generation: number): Kstatus[] =>
  seen
    .filter(({ metadata }) => metadata.generation === generation)
    .map(kstatus)
    .filter((one, index, all) => one !== all[index - 1])
const patch = (spec: object) => bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', JSON.stringify({ spec }))
const placed = (workers: number, shards = 8) =>
  Array.from({ length: workers }, (_, ordinal) => [...shardsOf(rangeOf(ordinal, shards, workers))])
const pods = async () =>
  JSON.parse(await bot.kubectl('get', 'pods', '-o', 'json')) as {
    items: { metadata: { annotations?: Record<string, string> } }[]
  }

it('nobody looked at: in progress', async () => {
  await bot.create()
  await eventually(() => expect(seen).toHaveLength(1))
  expect(seen[0]?.status).toEqual({ observedGeneration: 0 })
  expect(series(1)).toEqual(['InProgress'])
})

it('only its user can help: failed, with every condition from the first visit on', async () => {
  await world.operator()
  await becomes('Failed', 1)
  expect(series(1)).toEqual(['InProgress', 'Failed'])
  const [, ...visits] = seen
  for (const { status } of visits) {
    expect(status?.conditions?.map(({ type }) => type)).toEqual([...CONDITION_TYPES])
    for (const { reason, message, observedGeneration } of status?.conditions ?? []) {
      expect(observedGeneration).toBe(1)
      expect(reason).not.toBe('')
      expect(message).toMatch(/\S.*\.$/)
    }
  }
})

it('started: current when every shard is connected, and not before', async () => {
  await bot.secret()
  await becomes('Current', 1)
  expect(await bot.held()).toEqual(placed(2))
  expect(series(1)).toEqual(['InProgress', 'Failed', 'InProgress', 'Current'])
})

it('scaled up: current when the shards have moved', async () => {
  await bot.kubectl('scale', 'shc/bot', '--replicas=3')
  await becomes('Current', 2)
  expect(await bot.held()).toEqual(placed(3))
})

it('rolled out: current when every pod is of the new template', async () => {
  await patch({ worker: { podAnnotations: { rolled: 'once' } } })
  await becomes('Current', 3)
  expect((await pods()).items.map(({ metadata }) => metadata.annotations?.['rolled'])).toEqual(['once', 'once', 'once'])
  expect(await bot.held()).toEqual(placed(3))
})

it('scaled down: what a worker that leaves still holds is said in words; current when none runs', async () => {
  for (const worker of world.kubelet.workers.values()) worker.flushMs = 500
  await bot.kubectl('scale', 'shc/bot', '--replicas=1')
  await becomes('Current', 4)
  expect(await bot.held()).toEqual(placed(1))
  const rows = seen
    .filter(({ metadata }) => metadata.generation === 4)
    .flatMap((one) => one.status?.workerStatuses ?? [])
  const leaving = rows.filter(({ ordinal }) => ordinal > 0)
  expect(leaving.length).toBeGreaterThan(0)
  for (const row of leaving.filter(({ first }) => first === undefined)) {
    expect(row).not.toHaveProperty('last')
    expect(row.message).toMatch(/^it leaves/)
  }
  expect(leaving.map(({ message }) => message)).toContainEqual(expect.stringMatching(/still to move/))
})

it('with another number of shards: current when the new set has them, and the old one is gone', async () => {
  await patch({ totalShards: 12, shardsPerWorker: 20 })
  await becomes('Current', 5)
  expect(await bot.child(statefulSets, 'bot-8')).toBeUndefined()
  await eventually(async () => expect(await bot.held()).toEqual(placed(1, 12)))
})

it('of every change the verdict was in progress first, and current once, for good', () => {
  for (const generation of [2, 3, 4, 5])
    expect(series(generation), `generation ${generation}`).toEqual(['InProgress', 'Current'])
})
