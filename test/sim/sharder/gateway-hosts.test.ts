import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { RecordingBot, type TestWorker, until, Workers } from '../../support/sharder.ts'

/** A worker connects where its own spec says, whoever else names a gateway: manager, session, READY. */
const TOKEN = fakeToken()
const never = new AbortController().signal

let discord: Simulator
let bot: RecordingBot
let workers: Workers
let worker: TestWorker
let attacker: Server
let connections = 0
/** Where the simulated Discord really is; READY says that it is where the attacker is. */
let gateway: string
let elsewhere: string

beforeEach(async () => {
  connections = 0
  attacker = createServer().on('connection', () => connections++)
  await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.1', resolve))
  elsewhere = `ws://127.0.0.1:${(attacker.address() as AddressInfo).port}`
  discord = await startSimulator({ timeScale: 50, gatewayUrl: elsewhere, bots: [{ token: TOKEN, maxConcurrency: 16 }] })
  gateway = discord.url.replace('http', 'ws')
  workers = new Workers()
  bot = await new RecordingBot().start()
  worker = await workers.process({ token: TOKEN, sinkUrl: bot.url, gatewayHosts: [gateway] })
})
afterEach(async () => {
  await workers.close()
  await bot.close()
  await discord.close()
  attacker.closeAllConnections()
  attacker.close()
})

const assign = (url: string, more = {}) =>
  worker.port.assign(
    {
      ...{ epoch: 1, totalShards: 1, first: 0, last: 0, withhold: [], sessions: [] },
      gateway: { url, version: 10, intents: 513, compression: 'None' },
      ...more,
    },
    never,
  )

it('a manager that names another gateway is refused, and told what admits it', async () => {
  expect(await assign(elsewhere)).toMatchObject({
    ok: false,
    failure: { code: 'BAD_REQUEST', message: expect.stringMatching(/is not one of gateway\.hosts/) },
  })
  expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({
    ...{ ok: false, failure: { code: 'NOT_ASSIGNED' } },
  })
  expect(connections).toBe(0)
})

it('a session that says it is resumed elsewhere is resumed at the gateway', async () => {
  const session = {
    ...{ shardId: 0, sessionId: 'a-session', resumeGatewayUrl: elsewhere, sequence: 1, totalShards: 1 },
    lastContactMsAgo: 10,
  }
  expect(await assign(gateway, { sessions: [session] })).toMatchObject({ ok: true })
  // Discord knows no such session: it said so itself.
  await worker.until(() => worker.shard(0)?.ended === 'INVALIDATED')
  expect(connections).toBe(0)
})

it('a READY that names another address to resume at costs nothing: the session is resumed at the gateway', async () => {
  expect(await assign(gateway)).toMatchObject({ ok: true })
  expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
  discord.control('drop-sockets', {})
  await until(() => discord.stats().bots[0]?.resumes === 1)
  await worker.until(() => worker.shard(0)?.state === 'Connected')
  expect(discord.stats().bots[0]).toMatchObject({ identifies: 1, resumes: 1 })
  expect(worker.shard(0)?.session?.resumeGatewayUrl).toBe(gateway)
  expect(connections).toBe(0)
})
