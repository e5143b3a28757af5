import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ExampleBot, makeBot } from '../../../examples/discordeno-bot/bot.ts'
import { serveEvents } from '../../../examples/discordeno-bot/events.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { holdAll } from '../../support/fleet.ts'
import { until, Workers } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const SHARDS = 4

let discord: Simulator
let workers: Workers
let server: Server
let bot: ExampleBot

beforeEach(async () => {
  workers = new Workers()
  bot = makeBot(TOKEN)
  server = serveEvents(bot, 'the key').listen(0, '127.0.0.1')
  await once(server, 'listening')
  discord = await startSimulator({ timeScale: 50, bots: [{ token: TOKEN, maxConcurrency: 16 }] })
})
afterEach(async () => {
  await workers.close()
  await discord.close()
  server.closeAllConnections()
  server.close()
})

it('the example bot gets its messages in discordeno’s handlers, in the order of each shard', async () => {
  const sequences = new Map<number, number[]>()
  const messages: { id: bigint; content: string }[] = []
  bot.events.raw = ({ s }, shardId) => {
    sequences.set(shardId, [...(sequences.get(shardId) ?? []), s ?? -1])
  }
  bot.events.messageCreate = ({ id, content }) => {
    messages.push({ id, content })
  }
  const { port } = server.address() as AddressInfo
  const worker = await workers.process({
    token: TOKEN,
    sinkUrl: `http://127.0.0.1:${port}/`,
    sinkKey: 'the key',
    http: { format: 'Event' },
  })
  await holdAll(worker, discord, SHARDS)
  discord.control('burst', { count: 200 })
  // What still lies in a socket when the worker drains is sent again to whoever resumes: here nobody does.
  const arrived = () => Array.from({ length: SHARDS }, (_, shardId) => sequences.get(shardId)?.length ?? 0)
  await until(() => discord.stats().burstsLeft === 0 && arrived().every((count) => count > 200))
  await worker.drain()
  expect(messages.length).toBeGreaterThan(20)
  for (const { id, content } of messages) {
    expect(typeof id).toBe('bigint')
    expect(typeof content).toBe('string')
  }
  for (let shardId = 0; shardId < SHARDS; shardId++) {
    const seen = sequences.get(shardId) ?? []
    expect(seen.length).toBeGreaterThan(200)
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => i + 1))
  }
})
