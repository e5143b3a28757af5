import { afterEach, beforeEach, expect, it } from 'vitest'
import { fakeToken, type Simulator, startSimulator } from '../../src/simulator/index.ts'
import { eventsOf, holdAll } from '../support/fleet.ts'
import { NatsServer } from '../support/servers/nats.ts'
import { until, Workers } from '../support/sharder.ts'
import { SinkUnderTest } from './sink-under-test.ts'

const TOKEN = fakeToken()
const SHARDS = [0, 1, 2, 3]

let discord: Simulator
let server: NatsServer
let workers: Workers
let credentials: SinkUnderTest

beforeEach(async () => {
  credentials = new SinkUnderTest()
  workers = new Workers()
  server = await NatsServer.start()
  discord = await startSimulator({
    timeScale: 50,
    sessionLifetimeMs: 90_000,
    replayBuffer: 200_000,
    bots: [{ token: TOKEN, maxConcurrency: 16 }],
  })
})
afterEach(async () => {
  await workers.close()
  await discord.close()
  await server?.close()
  await credentials.close()
})

const start = () => {
  const { usernameFile, passwordFile } = credentials
  const nats = { servers: [`nats://localhost:${server.port}`], subject: 'discord.{type}.{shard}', partitions: 4 }
  return workers.process({
    token: TOKEN,
    sinkUrl: '',
    sinks: [{ name: 'bot', nats: { ...nats, usernameFile, passwordFile } }],
  })
}

/** The simulator's own counts of a shard's events, as they are in the stream. */
async function delivered(shardId: number): Promise<number[]> {
  const counts: number[] = []
  for (const { topic, body } of await server.read()) {
    const event = JSON.parse(body) as { shardId: number; payload: { t: string; d: { sim_n?: number } } }
    if (event.shardId !== shardId || event.payload.d.sim_n === undefined) continue
    expect(topic).toBe(`discord.${event.payload.t}.${shardId}`)
    counts.push(event.payload.d.sim_n)
  }
  return counts
}

it('brings every event to JetStream once, over kill -9 of a worker and of the server', async () => {
  await server.createStream()
  const first = await start()
  await holdAll(first, discord, SHARDS.length)
  discord.control('burst', { count: 2_000 })
  await until(() => SHARDS.every((shardId) => (first.shard(shardId)?.session?.sequence ?? 0) > 100))
  await server.kill()
  await server.start()
  await until(() => SHARDS.every((shardId) => (first.shard(shardId)?.session?.sequence ?? 0) > 500))
  const sessions = SHARDS.flatMap((shardId) => first.shard(shardId)?.session ?? [])
  await first.kill()

  const second = await start()
  await holdAll(second, discord, SHARDS.length, { epoch: 2, sessions })
  await second.until(() => SHARDS.every((shardId) => second.shard(shardId)?.state === 'Connected'))
  await until(() => discord.stats().burstsLeft === 0)
  await second.drain()
  for (const shardId of SHARDS) {
    const total = eventsOf(discord, shardId, SHARDS.length)
    expect(total).toBeGreaterThanOrEqual(2_000)
    expect(await delivered(shardId)).toEqual(Array.from({ length: total }, (_, i) => i + 1))
  }
  expect(discord.stats()).toMatchObject({ identifies: SHARDS.length, resumesRefused: 0 })
})
