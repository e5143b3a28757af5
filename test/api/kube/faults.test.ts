import type { Counter } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../support/random.ts'
import { deck, FAULTS } from './fault-run/faults.ts'
import { footprint } from './fault-run/footprint.ts'
import { type Rig, startRig } from './fault-run/rig.ts'
import { Stage } from './fault-run/stage.ts'
import { Writer } from './fault-run/writer.ts'
import { eventually } from './world.ts'

/** The same seed, the same faults and changes in the same order; the network's timing is its own. */
const SEED = Number(process.env['SHARDCLUSTER_SEED'] ?? Math.floor(Math.random() * 1e9))
/** 360 are an hour in which something breaks every ten seconds; with 40 every kind has its turn. */
const COUNT = Math.max(40, Number(process.env['SHARDCLUSTER_FAULTS'] ?? 45))
/** Before memory is measured: code is compiled and buffers have their sizes. */
const WARM_UP = 15

const random = new Random(SEED)
const writing = random.fork()
const faults = deck(random.fork())
let rig: Rig
let writer: Writer
let stage: Stage
beforeAll(async () => {
  rig = await startRig(random.fork().next)
  writer = new Writer(rig.direct, 'default', writing.next)
  await writer.write(40)
  stage = new Stage(rig, writer, random.fork())
  await rig.caches.whenSynced()
})
afterAll(() => rig?.close())

/** Of each kind: how often, and the most seconds from the fault until everything agreed with the API server again. */
const kinds: Record<string, { times: number; slowest: number }> = {}

async function suffer(count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    const kind = faults.next().value as string
    const startedAt = performance.now()
    await FAULTS[kind]?.({ rig, writer, random })
    await writer.write(2)
    await stage.settled(`${kind}, fault ${number} of SHARDCLUSTER_SEED=${SEED}`)
    rig.http.heal()
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10
    const { times, slowest } = kinds[kind] ?? { times: 0, slowest: 0 }
    kinds[kind] = { times: times + 1, slowest: Math.max(slowest, seconds) }
  }
}

const sumOf = async (counter: Counter<string>) =>
  (await counter.get()).values.reduce((sum, { value }) => sum + value, 0)

describe("the operator's caches under an hour's faults", () => {
  it(`miss no change, open no second watch and leak nothing (SHARDCLUSTER_SEED=${SEED})`, async () => {
    await stage.settled('no fault')
    await suffer(WARM_UP)
    const start = await footprint(rig)
    await suffer(Math.floor(COUNT / 2))
    const middle = await footprint(rig)
    await suffer(Math.ceil(COUNT / 2))
    const end = await footprint(rig)
    await stage.agreesWithTheServer()
    const { metrics, counting } = rig
    console.table(kinds)
    console.table({
      SHARDCLUSTER_SEED: SEED,
      faults: WARM_UP + COUNT,
      'changes written': writer.writes,
      'changes heard': stage.heard,
      'missed changes': stage.missed(),
      'most watches of a resource at once': counting.most,
      'unhandled rejections': stage.rejections.length,
      'handlers that threw': stage.thrown.handlers,
      'reconciles that threw': stage.thrown.reconciles,
      lists: await sumOf(metrics.lists),
      watches: await sumOf(metrics.watches),
    })
    console.table({ start, middle, end })
    expect(Object.keys(kinds).sort()).toEqual(Object.keys(FAULTS).sort())
    expect(stage.missed()).toBe(0)
    expect(counting.most).toBe(1)
    expect(end.heapMB).toBeLessThan(start.heapMB + 10)
    expect(end.externalMB).toBeLessThan(start.externalMB + 10)
    expect(end.handles).toBeLessThanOrEqual(start.handles + 10)
    expect(end.sockets).toBeLessThanOrEqual(start.sockets + 3)
  }, 3_600_000)

  it('tell handlers only what makes sense, count those that throw, and try reconciles again', async () => {
    const { metrics } = rig
    expect(stage.nonsense).toEqual([])
    expect(stage.rejections).toEqual([])
    expect(stage.thrown.handlers).toBeGreaterThan(0)
    expect(stage.thrown.reconciles).toBeGreaterThan(0)
    expect(await sumOf(metrics.handlerErrors)).toBe(stage.thrown.handlers)
    expect(await sumOf(metrics.reconcileErrors)).toBe(stage.thrown.reconciles)
    expect(await sumOf(metrics.queueRetries)).toBe(stage.thrown.reconciles)
  })

  it('have nothing open once they are stopped', async () => {
    await stage.stop()
    expect(rig.transport.openStreams).toBe(0)
    await rig.transport.close()
    await eventually(() => expect(rig.http.watches()).toEqual([]))
  })
})
