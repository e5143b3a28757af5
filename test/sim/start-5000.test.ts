import { expect, test } from 'vitest'
import { World } from './manager/model/world.ts'

const SHARDS = 5_000
const BUCKETS = 64
const WINDOW_MS = 5_000
/** Discord's own limit: the last wave of IDENTIFYs cannot leave earlier after the first. */
const LEAST_MS = (Math.ceil(SHARDS / BUCKETS) - 1) * WINDOW_MS

/**
 * READY that varies by seconds costs more: an IDENTIFY whose answer is later than usual may have arrived later than usual,
 * and its bucket is left alone as much longer.
 */
test.each([
  [300, 1.03],
  [2_000, 1.03],
])(
  '5,000 shards on 10 workers, 64 at a time, READY within %i ms: all connected within %f times the least time',
  async (readyMs, most) => {
    const world = new World({
      ...{ seed: 5_000, maxConcurrency: BUCKETS, windowMs: WINDOW_MS, budget: 25_000, dayMs: 86_400_000 },
      clusters: [
        {
          name: 'bot',
          totalShards: SHARDS,
          totalWorkers: 10,
          order: 'Spread',
          windowMs: WINDOW_MS,
          reserve: 100,
          readyMs,
          saveMs: 0,
        },
      ],
    })
    world.lead()
    const { discord, clock } = world
    const begin = await clock.runUntil(() => discord.rules.counts.identifies > 0, 60_000)
    expect(begin).toBe(true)
    const firstAt = clock.now()
    expect(await world.settle(2 * LEAST_MS)).toBe(true)
    const tookMs = clock.now() - firstAt

    const { bucket, startLimit, doubleOwner, protocol } = discord.rules.violations.counts
    console.log(
      `first IDENTIFY after ${(firstAt / 1000).toFixed(1)} s; from there ${SHARDS} shards READY in ${(tookMs / 1000).toFixed(1)} s; ` +
        `least ${LEAST_MS / 1000} s; ${(tookMs / LEAST_MS).toFixed(4)} times; ${bucket} bucket violations`,
    )
    expect(discord.problems).toEqual([])
    expect({ bucket, startLimit, doubleOwner, protocol }).toEqual({
      bucket: 0,
      startLimit: 0,
      doubleOwner: 0,
      protocol: 0,
    })
    expect(discord.rules.counts).toMatchObject({ identifies: SHARDS, readies: SHARDS, resumes: 0 })
    expect([...discord.rules.identifiesByShard.values()].every((count) => count === 1)).toBe(true)
    expect(tookMs / LEAST_MS).toBeLessThanOrEqual(most)
    await world.stop()
  },
)
