import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GatewayOptions } from '../../../../src/protocol/commands.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../../src/simulator/index.ts'
import { Random } from '../../../support/random.ts'
import { MANY, seeds } from '../../../support/seeds.ts'
import { type TestWorker, until, Workers } from '../../../support/sharder.ts'
import { COMPRESSION_FAULTS } from './compression-faults.ts'
import { type Fault, resumesOf } from './fault.ts'
import { FRAME_FAULTS } from './frame-faults.ts'
import { HostileGateway } from './hostile-gateway.ts'
import { LineBot } from './line-bot.ts'
import { PAYLOAD_FAULTS } from './payload-faults.ts'
import type { Compress } from './wire.ts'

const FAULTS = [...FRAME_FAULTS, ...COMPRESSION_FAULTS, ...PAYLOAD_FAULTS]
const TOKEN = fakeToken()
/** Every other shard is left alone, on the same threads. */
const SHARDS = 40
const isVictim = (shardId: number): boolean => shardId % 2 === 0
/**
 * What a worker may grow by at its worst: two threads, each with a payload of 64 MB, the memory in which that one grew,
 * and what the collector has not taken yet.
 */
const MOST_GROWTH_MB = 400
const never = new AbortController().signal

let discord: Simulator
let hostile: HostileGateway
let bot: LineBot
let workers: Workers

beforeEach(async () => {
  workers = new Workers()
  bot = await new LineBot().start()
})
afterEach(async () => {
  await workers.close()
  await hostile.close()
  await discord.close()
  bot.close()
})

async function connect(random: Random, compression: GatewayOptions['compression'], shards: number) {
  hostile = await new HostileGateway(random).start()
  discord = await startSimulator({
    timeScale: 50,
    heartbeatIntervalMs: 20_000,
    sessionLifetimeMs: 90_000,
    replayBuffer: 20_000,
    gatewayUrl: hostile.url,
    bots: [{ token: TOKEN, maxConcurrency: 64 }],
  })
  hostile.upstream = discord.url.replace(/^http/, 'ws')
  const worker = await workers.process({ token: TOKEN, sinkUrl: bot.url, threads: 2 })
  const gateway = { url: hostile.url, version: 10, intents: 513, compression }
  const range = { totalShards: shards, first: 0, last: shards - 1, withhold: [] }
  expect(await worker.port.assign({ epoch: 1, ...range, gateway, sessions: [] }, never)).toMatchObject({ ok: true })
  return worker
}

/** Waits for all of these shards; says which of them it is not. A busy machine has minutes. */
async function untilAll(
  shardIds: readonly number[],
  condition: (shardId: number) => boolean,
  so: (shardId: number) => string,
) {
  const deadline = performance.now() + 150_000
  await until(() => performance.now() > deadline || shardIds.every(condition))
  expect(shardIds.filter((shardId) => !condition(shardId)).map(so)).toEqual([])
}

const identify = (worker: TestWorker, shardId: number) => worker.port.identify({ shardId, slotInMs: 0 }, never)
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** Peak of the worker's resident memory, in MB. */
const peakOf = (worker: TestWorker): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1]) / 1024

async function faultsCounted(worker: TestWorker): Promise<Map<string, number>> {
  const metrics = await (await fetch(`${worker.url}/metrics`)).text()
  const lines = metrics.matchAll(/^shardcluster_worker_gateway_faults_total\{reason="(\w+)"\} (\d+)$/gm)
  return new Map([...lines].map(([, reason, count]) => [reason as string, Number(count)]))
}

/** Each fault with one reason is counted under it, and each with several under one of them. */
function expectCounted(counted: ReadonlyMap<string, number>, played: readonly Fault[]): void {
  const counting = played.filter(({ reasons }) => reasons.length > 0)
  for (const reason of new Set(counting.flatMap(({ reasons }) => reasons))) {
    const may = counting.filter(({ reasons }) => reasons.includes(reason))
    const must = may.filter(({ reasons }) => reasons.length === 1)
    expect(counted.get(reason) ?? 0, reason).toBeGreaterThanOrEqual(must.length)
    expect(counted.get(reason) ?? 0, reason).toBeLessThanOrEqual(may.length)
  }
  expect([...counted.values()].reduce((sum, count) => sum + count, 0)).toBe(counting.length)
}

describe.each<[GatewayOptions['compression'], Compress]>([
  ['None', 'none'],
  ['ZlibStream', 'zlib-stream'],
  ['ZstdStream', 'zstd-stream'],
])('with compression %s', (compression, compress) => {
  it.each(seeds(MANY, 1))('every fault costs its own shard a RESUME at most (SHARDCLUSTER_SEED=%i)', async (seed) => {
    const random = new Random(seed)
    const worker = await connect(random, compression, SHARDS)
    const all = range(SHARDS)
    const answers = await Promise.all(all.map((shardId) => identify(worker, shardId)))
    for (const answer of answers) expect(answer).toMatchObject({ ok: true })
    const before = peakOf(worker)

    const played = FAULTS.filter(({ on }) => on === undefined || on.includes(compress))
    const victims = all.filter(isVictim)
    const plans = new Map(all.map((shardId) => [shardId, [] as Fault[]]))
    const order = played.map((fault) => ({ fault, key: random.next() })).sort((a, b) => a.key - b.key)
    for (const [i, { fault }] of order.entries()) plans.get(victims[i % victims.length] as number)?.push(fault)
    for (const [shardId, faults] of plans) hostile.script(shardId).faults.push(...faults)

    const so = (shardId: number) =>
      `shard ${shardId}, SHARDCLUSTER_SEED=${seed}: ${JSON.stringify(worker.shard(shardId))}, left ${hostile.script(shardId).faults.length} of: ${plans
        .get(shardId)
        ?.map(({ name }) => name)
        .join('; ')}`

    discord.control('events-per-second', { value: 400 })
    const due = (shardId: number) => (plans.get(shardId) ?? []).reduce((sum, fault) => sum + resumesOf(fault), 0)
    const well = (shardId: number) => {
      const shard = worker.shard(shardId)
      return hostile.script(shardId).over && shard?.state === 'Connected' && shard.resumes >= due(shardId)
    }
    await untilAll(all, well, so)
    discord.control('events-per-second', { value: 0 })
    await untilAll(all, (shardId) => hostile.script(shardId).sent.allIn(new Set(bot.of(shardId))), so)

    for (const shardId of all) {
      expect(hostile.script(shardId).sent.faults(bot.of(shardId)), so(shardId)).toEqual([])
      expect(worker.shard(shardId), so(shardId)).toMatchObject({
        state: 'Connected',
        identifies: 1,
        resumes: due(shardId),
      })
    }
    expect(bot.strange).toEqual([])
    expect(discord.stats()).toMatchObject({ identifies: SHARDS, resumesRefused: 0 })
    expectCounted(await faultsCounted(worker), played)
    const grown = peakOf(worker) - before
    console.log(
      `${compression}, seed ${seed}: ${played.length} faults, ${discord.stats().resumes} RESUMEs, at most ${grown.toFixed(0)} MB more than at rest`,
    )
    expect(grown).toBeLessThan(MOST_GROWTH_MB)
  })
})
