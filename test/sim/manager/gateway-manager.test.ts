import { expect, test } from 'vitest'
import { MANY, seeds } from '../../support/seeds.ts'
import { play, type Scenario } from './run.ts'
import {
  blackout,
  breakStreams,
  changeConcurrency,
  disconnects,
  EVERYTHING,
  gatewayFaults,
  HARMLESS,
  hangWorker,
  killThread,
  newLeader,
  nonsense,
  remedy,
  replacePod,
  restartWorker,
  restOutage,
  scale,
  slowSink,
  slowWorker,
  successor,
} from './scenarios.ts'

const SEEDS = 50

const SCENARIOS: Record<string, Scenario & { seeds?: number }> = {
  'cold start': { actions: [], times: [0, 0], economical: true, check: everyShardOnce },
  'scale up and down, many times, while starting': {
    actions: [scale],
    times: [1, 8],
    economical: true,
    check: unmovedShardsUntouched,
    seeds: 120,
  },
  'scale, with new leaders, broken streams, reconnects and pods that do not start': {
    actions: HARMLESS,
    times: [2, 8],
    economical: true,
    seeds: 200,
  },
  'new leaders: the old one stopped, dead, or deposed and alive': {
    actions: [newLeader],
    times: [1, 4],
    economical: true,
    check: unmovedShardsUntouched,
  },
  'containers restart, threads die': { actions: [restartWorker, killThread], times: [1, 6], seeds: 150 },
  'containers restart in the middle of moves, under new leaders': {
    actions: [scale, restartWorker, successor],
    times: [2, 10],
    seeds: 200,
  },
  'pods are replaced, in the middle of moves': { actions: [replacePod, scale], times: [1, 6], seeds: 150 },
  'sinks stall while shards move and pods are replaced': {
    actions: [slowSink, scale, replacePod, killThread],
    times: [2, 8],
    seeds: 100,
  },
  'everything goes down and comes back within a minute': {
    actions: [blackout, scale],
    times: [1, 2],
    last: blackoutAtRest,
  },
  'Discord: op 9, silence, disconnects, lost sessions': { actions: [gatewayFaults, disconnects], times: [1, 4] },
  'workers that are slow, hang or talk nonsense': { actions: [slowWorker, hangWorker, nonsense, scale], times: [1, 5] },
  'the REST proxy is away or rate limited': { actions: [restOutage, scale], times: [1, 4], economical: true },
  'max_concurrency changes': { actions: [changeConcurrency], times: [1, 3] },
  'the budget runs out and is counted anew': {
    ...{ actions: [scale, newLeader], times: [0, 3], economical: true, dayMs: 600_000, budget: 1_000 },
    before: (world) => world.discord.rules.setRemaining(world.random.int(0, 60)),
  },
  'a fatal close, then its remedy': {
    ...{ actions: [breakStreams, scale], times: [2, 5] },
    before: ({ discord }) => {
      discord.faults.fatalCode = 4014
    },
    last: (world) => {
      // One IDENTIFY of each bucket was under way when the first was turned away, at most: then everything waited.
      const { identifies } = world.discord.rules.counts
      expect(identifies).toBeGreaterThan(0)
      expect(identifies).toBeLessThanOrEqual(world.discord.rules.maxConcurrency)
      expect(world.clusters[0]?.manager?.fleet()).toMatchObject({ ready: 0, fatal: { closeCode: 4014 } })
      remedy(world, world.random)
    },
  },
  'two ShardClusters of one bot': { actions: [scale, newLeader, disconnects], times: [1, 5], clusters: 2 },
  'everything at once': { actions: EVERYTHING, times: [3, 12], clusters: 2, seeds: 300 },
}

for (const [i, [name, scenario]] of Object.entries(SCENARIOS).entries()) {
  test(name, async () => {
    const spent = new Map<string, number>()
    const all = seeds((scenario.seeds ?? SEEDS) * MANY, 1_000 * (i + 1))
    for (const seed of all) {
      const { discord } = await play(scenario, seed)
      for (const [why, count] of discord.unavoidable) spent.set(why, (spent.get(why) ?? 0) + count)
    }
    const causes = [...spent].sort(([, a], [, b]) => b - a).map(([why, count]) => `${count} ${why}`)
    console.log(`${name}: ${all.length} runs, seeds from ${all[0]}; IDENTIFYs: ${causes.join(', ')}`)
  })
}

/** Every session survives when all pods and the operator go and come back in time, once they were connected. */
async function blackoutAtRest(world: Awaited<ReturnType<typeof play>>): Promise<void> {
  await world.settle(3 * 3_600_000)
  const { identifies } = world.discord.rules.counts
  blackout(world, world.random)
  await world.settle(600_000)
  expect(world.discord.rules.counts.identifies).toBe(identifies)
}

function everyShardOnce({ discord }: Awaited<ReturnType<typeof play>>): void {
  expect([...discord.rules.identifiesByShard.values()].every((count) => count === 1)).toBe(true)
  expect(discord.rules.counts.resumes).toBe(0)
}

function unmovedShardsUntouched({ clusters }: Awaited<ReturnType<typeof play>>): void {
  for (const cluster of clusters) {
    for (const shardId of cluster.unmoved()) {
      const holders = [...cluster.pods.values()].flatMap(({ worker }) => worker.summary(shardId) ?? [])
      expect(holders.map(({ identifies, resumes }) => ({ identifies, resumes }))).toEqual([
        { identifies: 1, resumes: 0 },
      ])
    }
  }
}
