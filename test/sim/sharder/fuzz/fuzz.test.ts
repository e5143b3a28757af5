import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import type { GatewayOptions } from '../../../../src/protocol/commands.ts'
import { Random } from '../../../support/random.ts'
import { MANY, seeds } from '../../../support/seeds.ts'
import { type TestWorker, until } from '../../../support/sharder.ts'
import { COMPRESSION_FAULTS } from './compression-faults.ts'
import { type Fault, resumesOf } from './fault.ts'
import { FRAME_FAULTS } from './frame-faults.ts'
import { PAYLOAD_FAULTS } from './payload-faults.ts'
import { Rig } from './rig.ts'
import type { Compress } from './wire.ts'

const FAULTS = [...FRAME_FAULTS, ...COMPRESSION_FAULTS, ...PAYLOAD_FAULTS]
/** Every other shard is left alone, on the same threads. */
const SHARDS = 40
const isVictim = (shardId: number): boolean => shardId % 2 === 0
/**
 * What a worker may grow by at its worst: two threads, each with a payload of 64 MB, the memory in which that one grew,
 * and what the collector has not taken yet.
 */
const MOST_GROWTH_MB = 400

let rig: Rig

afterEach(() => rig.close())

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

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** Peak of the worker's resident memory, in MB. */
const peakOf = (worker: TestWorker): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1]) / 1024

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
    rig = await Rig.start(random, compression, SHARDS)
    const { worker, hostile, discord, bot } = rig
    const all = range(SHARDS)
    for (const answer of await Promise.all(all.map((shardId) => rig.identify(shardId))))
      expect(answer).toMatchObject({ ok: true })
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
    expectCounted(await rig.faultsCounted(), played)
    const grown = peakOf(worker) - before
    console.log(
      `${compression}, seed ${seed}: ${played.length} faults, ${discord.stats().resumes} RESUMEs, at most ${grown.toFixed(0)} MB more than at rest`,
    )
    expect(grown).toBeLessThan(MOST_GROWTH_MB)
  })
})
