import { expect } from 'vitest'
import { Random } from '../../support/random.ts'
import type { ClusterOptions } from './model/cluster.ts'
import { World } from './model/world.ts'
import type { Action } from './scenarios.ts'

export interface Scenario {
  readonly actions: readonly Action[]
  /** How many of them happen, at random times. */
  readonly times: readonly [number, number]
  /** No IDENTIFY beyond the first of each shard is justified. */
  readonly economical?: boolean
  /** IDENTIFYs a day. */
  readonly budget?: number
  readonly dayMs?: number
  readonly clusters?: number
  /** What must hold at the end beyond what always must. */
  readonly check?: (world: World) => void
  readonly before?: (world: World) => void
  /** Happens last, half a minute after everything else. */
  readonly last?: (world: World) => void | Promise<void>
}

const HOUR_MS = 3_600_000

/** Plays a scenario with one seed and judges the whole run. */
export async function play(scenario: Scenario, seed: number): Promise<World> {
  const random = new Random(seed)
  const windowMs = random.pick([1_000, 5_000])
  const maxConcurrency = random.pick([1, 2, 16, 16])
  const { budget = 100_000, dayMs = 24 * HOUR_MS } = scenario
  const clusters = Array.from({ length: scenario.clusters ?? 1 }, (_, i) => clusterOptions(random, i, windowMs))
  const world = new World({ seed, maxConcurrency, windowMs, budget, dayMs, clusters })
  scenario.before?.(world)
  world.lead()
  // Most of what goes wrong goes wrong while the bot starts.
  const startMs = ((clusters[0] as ClusterOptions).totalShards / maxConcurrency) * windowMs + 10_000
  const count = random.int(...scenario.times)
  const pauses = Array.from({ length: count }, () => random.int(0, (2 * startMs) / (count + 1)))
  for (const pause of pauses) {
    await world.run(random.chance(0.3) ? random.int(0, 50) : pause)
    random.pick(scenario.actions)(world, random)
  }
  if (scenario.last) {
    await world.run(30_000)
    await scenario.last(world)
  }
  const settled = await world.settle(dayMs === 24 * HOUR_MS ? 3 * HOUR_MS : 2 * dayMs + 3 * HOUR_MS)
  judge(world, scenario, settled, seed)
  await judgeRest(world, seed)
  await world.stop()
  return world
}

function clusterOptions(random: Random, i: number, windowMs: number): ClusterOptions {
  return {
    name: `bot-${i}`,
    // Two ShardClusters of one bot never have the same count: Discord would take them for one.
    totalShards: random.int(3, 60) * 2 + i,
    totalWorkers: random.int(1, 6),
    order: random.chance(0.7) ? 'Spread' : 'Strict',
    windowMs,
    reserve: random.pick([0, 10]),
    readyMs: random.pick([40, 300, 3_000]),
    saveMs: random.pick([0, 60_000]),
  }
}

function judge(world: World, scenario: Scenario, settled: boolean, seed: number): void {
  const { discord, clusters } = world
  const so = `SHARDCLUSTER_SEED=${seed}, after ${(world.clock.now() / 1000).toFixed(1)} s\n${clusters.map((c) => c.describe()).join('\n')}`
  expect(discord.problems, so).toEqual([])
  expect(settled, `not settled: ${so}`).toBe(true)
  const { bucket, startLimit, doubleOwner, protocol } = discord.rules.violations.counts
  expect({ bucket: bucket - discord.excused, startLimit, doubleOwner, protocol }, so).toEqual({
    bucket: 0,
    startLimit: 0,
    doubleOwner: 0,
    protocol: 0,
  })
  if (scenario.economical) {
    const shards = clusters.reduce((sum, { options }) => sum + options.totalShards, 0)
    expect(discord.rules.counts.identifies, `IDENTIFYs spent, ${so}`).toBe(shards)
  }
  scenario.check?.(world)
}

/** Once everything is where it shall be nothing moves any more, and nobody is asked hotly. */
async function judgeRest(world: World, seed: number): Promise<void> {
  world.restProblem = undefined
  const { identifies, resumes } = world.discord.rules.counts
  const { questions } = world
  await world.run(60_000)
  const after = world.discord.rules.counts
  expect({ identifies: after.identifies, resumes: after.resumes }, `at rest, seed ${seed}`).toEqual({
    identifies,
    resumes,
  })
  expect(world.questions - questions, `session info asked for, seed ${seed}`).toBeLessThanOrEqual(4)
}
