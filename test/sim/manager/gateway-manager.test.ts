import { expect, test } from 'vitest'
import { play, type Scenario, seeds } from './run.ts'
import {
  breakStreams,
  changeConcurrency,
  disconnects,
  EVERYTHING,
  gatewayFaults,
  HARMLESS,
  hangWorker,
  newLeader,
  newLeaderBetweenMoves,
  nonsense,
  remedy,
  replacePod,
  restartWorker,
  restOutage,
  scale,
  slowWorker,
} from './scenarios.ts'

const SEEDS = 50
/** A long run: SHARDCLUSTER_SEEDS=20 plays twenty times as many. */
const MANY = Number(process.env['SHARDCLUSTER_SEEDS'] ?? 1)

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
  'containers restart': { actions: [restartWorker], times: [1, 4] },
  'pods are replaced': { actions: [replacePod, scale], times: [1, 4] },
  'Discord: op 9, silence, disconnects, lost sessions': { actions: [gatewayFaults, disconnects], times: [1, 4] },
  'workers that are slow, hang or talk nonsense': { actions: [slowWorker, hangWorker, nonsense, scale], times: [1, 5] },
  'the REST proxy is away or rate limited': { actions: [restOutage, scale], times: [1, 4], economical: true },
  'max_concurrency changes': { actions: [changeConcurrency], times: [1, 3] },
  'the budget runs out and is counted anew': {
    ...{ actions: [scale, newLeaderBetweenMoves], times: [0, 3], economical: true, dayMs: 600_000, budget: 1_000 },
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
    for (const seed of seeds((scenario.seeds ?? SEEDS) * MANY, 1_000 * (i + 1))) await play(scenario, seed)
  })
}

function everyShardOnce({ discord }: Awaited<ReturnType<typeof play>>): void {
  expect([...discord.rules.identifiesByShard.values()].every((count) => count === 1)).toBe(true)
  expect(discord.rules.counts.resumes).toBe(0)
}

function unmovedShardsUntouched({ clusters }: Awaited<ReturnType<typeof play>>): void {
  for (const cluster of clusters) {
    for (const shardId of cluster.unmoved()) {
      const holders = [...cluster.pods.values()].flatMap(({ worker }) => worker.shards.get(shardId)?.record() ?? [])
      expect(holders.map(({ identifies, resumes }) => ({ identifies, resumes }))).toEqual([
        { identifies: 1, resumes: 0 },
      ])
    }
  }
}
