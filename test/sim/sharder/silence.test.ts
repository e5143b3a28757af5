import { afterEach, expect, it } from 'vitest'
import { ConnectGate } from '../../../sharder/shard/connect-gate.ts'
import { ResumePace } from '../../../sharder/shard/resume-pace.ts'
import { SILENCE_RULES } from '../../../sharder/shard/silence.ts'
import { SHARD_TIMINGS } from '../../../sharder/shard/timings.ts'
import { ShardGroup } from '../../../sharder/shard-group.ts'
import { AllSinks } from '../../../sharder/sinks/all-sinks.ts'
import type { Sink } from '../../../sharder/sinks/sink.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { eventsOf } from '../../support/fleet.ts'
import { until } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const SHARDS = [0, 1, 2, 3, 4]

let discord: Simulator
let group: ShardGroup

afterEach(async () => {
  await group.drain(0)
  group.close()
  await discord.close()
})

/** A sink that takes everything, and remembers the simulator's counts of each shard. */
class Taken implements Sink {
  readonly full = false
  readonly counts = new Map<number, number[]>()

  open(shardId: number, acknowledged: number) {
    const counts = this.counts.get(shardId) ?? []
    this.counts.set(shardId, counts)
    const feed = {
      acknowledged,
      add(bytes: Buffer, from: number, to: number, sequence: number) {
        feed.acknowledged = sequence
        const n = (JSON.parse(bytes.toString('utf8', from, to)) as { d: { sim_n?: number } }).d.sim_n
        if (n !== undefined) counts.push(n)
      },
    }
    return feed
  }

  async flush() {
    return true
  }

  record() {
    return { name: 'taken', state: 'Flowing', pending: 0 } as const
  }

  async close() {}
}

it('a shard that Discord has forgotten resumes after minutes (here: seconds), and has all its events', async () => {
  discord = await startSimulator({
    timeScale: 50,
    heartbeatIntervalMs: 20_000,
    sessionLifetimeMs: 90_000,
    bots: [{ token: TOKEN, maxConcurrency: 16 }],
  })
  const sink = new Taken()
  const resumed: string[] = []
  let silenced = 0
  group = new ShardGroup({
    clock: systemClock,
    sinks: new AllSinks([sink]),
    report: () => {},
    silence: { ...SILENCE_RULES, least: 3_000, timesMean: 1.5, lately: 3_000, arrival: 0, again: 60_000 },
    environment: {
      gatewayHosts: ['ws://127.0.0.1'],
      random: Math.random,
      timings: SHARD_TIMINGS,
      logger: createLogger('test', 'silent'),
      gate: new ConnectGate(48),
      pace: new ResumePace(systemClock, Math.random),
      counts: {
        event: () => {},
        identify: () => {},
        resumed: (cause) => void resumed.push(cause),
        notResumed: () => {},
        closed: () => {},
        fault: () => {},
        silenced: (shards) => {
          silenced += shards
        },
        roundTrip: () => {},
      },
      token: async () => TOKEN,
    },
  })
  const gateway = { url: discord.gatewayUrl, version: 10, intents: 513, compression: 'None' as const }
  group.hold(
    { totalShards: SHARDS.length, gateway },
    SHARDS.map((shardId) => ({ shardId })),
  )
  for (const shardId of SHARDS)
    expect(await group.identify(shardId, 0, false, new AbortController().signal)).toMatchObject({ identified: true })
  discord.control('events-per-second', { value: 100 })
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  expect(discord.control('forget', { shards: [2] })).toEqual({ affected: 1 })
  const forgottenAt = performance.now()
  await until(() => resumed.length > 0)
  expect(performance.now() - forgottenAt).toBeGreaterThan(3_000)
  discord.control('events-per-second', { value: 0 })
  const counter = (shardId: number) => eventsOf(discord, shardId, SHARDS.length)
  await until(() => SHARDS.every((shardId) => sink.counts.get(shardId)?.at(-1) === counter(shardId)))
  for (const shardId of SHARDS)
    expect(sink.counts.get(shardId)).toEqual(Array.from({ length: counter(shardId) }, (_, i) => i + 1))
  // Nothing but the one shard was touched, and nothing happens once all of them are quiet.
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  expect([resumed, silenced]).toEqual([['silence'], 1])
  expect(discord.stats()).toMatchObject({ identifies: 5, resumes: 1, resumesRefused: 0 })
})
