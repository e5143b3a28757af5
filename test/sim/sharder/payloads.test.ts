import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SHARD_TIMINGS } from '../../../sharder/shard/timings.ts'
import { ThreadHost } from '../../../sharder/thread-host.ts'
import type { ThreadCalls } from '../../../sharder/thread-wire.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { holdAll } from '../../support/fleet.ts'
import { RecordingBot, type TestWorker, until, Workers } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const SHARDS = 4
const never = new AbortController().signal
const PRESENCE = { op: 3, d: { since: null, activities: [{ name: 'chess', type: 0 }], status: 'idle', afk: false } }
const GUILD = '81384788765712384'

let discord: Simulator
let bot: RecordingBot
let workers: Workers
beforeEach(async () => {
  workers = new Workers()
  bot = await new RecordingBot().start()
})
afterEach(async () => {
  await workers.close()
  await bot.close()
  await discord.close()
})

const start = async (timeScale: number) => {
  discord = await startSimulator({ timeScale, bots: [{ token: TOKEN, maxConcurrency: 16 }] })
}
const unharmed = () => {
  const { violations, openConnections } = discord.stats()
  expect({ ...violations, openConnections }).toEqual({
    ...{ bucket: 0, startLimit: 0, sendLimit: 0, doubleOwner: 0, heartbeat: 0, slowConsumer: 0, protocol: 0 },
    openConnections: SHARDS,
  })
}

describe('SEND_PAYLOAD at a worker', () => {
  let worker: TestWorker
  const send = (shardIds: number[], payload: { op: number; d: Record<string, unknown> }, withinMs = 0) =>
    worker.port.send({ shardIds, payload, withinMs }, never)
  beforeEach(async () => {
    await start(1)
    worker = await workers.process({ token: TOKEN, sinkUrl: bot.url, threads: 2 })
    await holdAll(worker, discord, SHARDS)
  })

  it('reaches Discord on each shard that was named, and what Discord answers reaches the bot', async () => {
    const answer = await send([0, 1, 2, 3], PRESENCE)
    expect(answer).toEqual({
      ok: true,
      value: { results: [0, 1, 2, 3].map((shardId) => ({ shardId, sent: true, waitedMs: expect.any(Number) })) },
    })
    await until(() => discord.stats().receivedOps['3'] === SHARDS)
    await send([2], { op: 8, d: { guild_id: GUILD, query: '', limit: 0, nonce: 'one' } })
    await until(() => bot.received.some(({ t }) => t === 'GUILD_MEMBERS_CHUNK'))
    expect(bot.received.find(({ t }) => t === 'GUILD_MEMBERS_CHUNK')).toMatchObject({ shardId: 2 })
    await send([3], { op: 4, d: { guild_id: GUILD, channel_id: null, self_mute: false, self_deaf: false } })
    await until(() => discord.stats().receivedOps['4'] === 1)
    unharmed()
  })

  it('refuses what would cost the connection, and sends nothing of it', async () => {
    for (const op of [1, 2, 6, 5, 99])
      expect(await send([0], { op, d: {} })).toMatchObject({
        ok: false,
        failure: { code: 'OPCODE_REFUSED', status: 403 },
      })
    const large = { op: 43, d: { text: `x${'ü'.repeat(2_035)}` } }
    expect(Buffer.byteLength(JSON.stringify(large))).toBe(4_096)
    expect(await send([0], large)).toMatchObject({ ok: true, value: { results: [{ sent: true }] } })
    const tooLarge = { op: 43, d: { text: `xx${'ü'.repeat(2_035)}` } }
    expect(await send([0], tooLarge)).toMatchObject({ ok: false, failure: { code: 'PAYLOAD_TOO_LARGE', status: 413 } })
    await until(() => discord.stats().receivedOps['43'] === 1)
    unharmed()
  })

  it('says which shards are not connected and which it does not hold', async () => {
    discord.control('refuse-connects', { mode: 'reset' })
    discord.control('drop-sockets', { shards: [1] })
    await worker.until(() => worker.shard(1)?.state === 'Resuming')
    expect(await send([0, 1, 7], PRESENCE)).toMatchObject({
      ok: true,
      value: {
        results: [
          { shardId: 0, sent: true },
          { shardId: 1, sent: false, code: 'NOT_CONNECTED' },
          { shardId: 7, sent: false, code: 'NOT_ASSIGNED' },
        ],
      },
    })
  })

  it('answers whoever waits when the shard is released', async () => {
    const payload = { op: 31, d: { guild_ids: [GUILD] } }
    const sent = await Promise.all(Array.from({ length: 116 }, () => send([0], payload)))
    expect(sent.every((answer) => answer.ok)).toBe(true)
    const waits = send([0], payload, 65_000)
    await until(() => discord.stats().receivedOps['31'] === 116)
    await worker.port.release({ epoch: 2, shardIds: [0] }, never)
    expect(await waits).toMatchObject({ ok: true, value: { results: [{ sent: false, code: 'NOT_ASSIGNED' }] } })
  })
})

it('keeps 120 sends a minute while 300 are asked for, heartbeats included, and sends all 300', async () => {
  // Time runs 20 times as fast for both sides, in the same proportions as at Discord: window 3 s, heartbeats 2.06 s.
  await start(20)
  const directory = await mkdtemp(join(tmpdir(), 'send-limit-'))
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text)
    return join(directory, name)
  }
  const settings = {
    ...{ workerId: 0, host: '127.0.0.1', port: 0, threads: 1, logLevel: 'silent', graceSeconds: 5 },
    gatewayHosts: ['ws://127.0.0.1'],
    tokenFile: await file('token', TOKEN),
    authorizationFile: await file('key', 'key'),
    sinks: [{ name: 'bot', http: { url: bot.url } }],
  }
  const timings = { ...SHARD_TIMINGS, sendWindow: SHARD_TIMINGS.sendWindow / 20 }
  const host = new ThreadHost(settings, createLogger('test', 'silent'), () => {}, timings)
  const gateway = { url: discord.gatewayUrl, version: 10, intents: 513, compression: 'None' as const }
  await host.handle({ type: 'HOLD', settings: { totalShards: 1, gateway }, holdings: [{ shardId: 0 }] }, never)
  await host.handle({ type: 'IDENTIFY', shardId: 0, slotAt: 0, exact: false }, never)
  const text = JSON.stringify(PRESENCE)
  const asked = Array.from({ length: 300 }, () =>
    host.handle({ type: 'SEND', shardIds: [0], text, withinMs: 60_000 }, never),
  )
  const results = (await Promise.all(asked)) as ThreadCalls['SEND']['answer'][]
  expect(results.flat().filter(({ sent }) => sent)).toHaveLength(300)
  const waits = results.flat().map((result) => (result.sent ? result.waitedMs : -1))
  expect(waits.filter((wait) => wait < timings.sendWindow / 2)).toHaveLength(116)
  expect(Math.max(...waits)).toBeGreaterThan(1.9 * timings.sendWindow)
  await until(() => discord.stats().receivedOps['3'] === 300)
  expect(discord.stats().receivedOps['1']).toBeGreaterThanOrEqual(2)
  expect(discord.stats().violations).toMatchObject({ sendLimit: 0, protocol: 0, heartbeat: 0 })
  await host.handle({ type: 'DRAIN', flushMs: 1_000 }, never)
  await host.close()
  await rm(directory, { recursive: true })
})
