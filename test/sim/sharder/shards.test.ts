import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GatewayOptions } from '../../../src/protocol/commands.ts'
import type { Session } from '../../../src/protocol/session.ts'
import { fakeToken, type Simulator, type SimulatorOptions, startSimulator } from '../../../src/simulator/index.ts'
import { FaultProxy } from '../../support/fault-proxy.ts'
import { RecordingBot, type TestWorker, until, Workers } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const never = new AbortController().signal

let discord: Simulator
let bot: RecordingBot
let workers: Workers
let epoch: number

beforeEach(async () => {
  epoch = 0
  workers = new Workers()
  bot = await new RecordingBot().start()
})
afterEach(async () => {
  await workers.close()
  await bot.close()
  await discord.close()
})

type Limits = NonNullable<SimulatorOptions['bots']>[number]

/** Identify windows last 100 ms. */
async function simulate(options: SimulatorOptions = {}, limits: Limits = {}): Promise<void> {
  discord = await startSimulator({
    timeScale: 50,
    sessionLifetimeMs: 90_000,
    ...options,
    bots: [{ token: TOKEN, maxConcurrency: 64, ...limits }],
  })
}

const gateway = (more: Partial<GatewayOptions> = {}): GatewayOptions => ({
  url: discord.gatewayUrl,
  version: 10,
  intents: 513,
  compression: 'None',
  ...more,
})

async function assign(
  worker: TestWorker,
  totalShards: number,
  sessions: readonly Session[] = [],
  more: Partial<GatewayOptions> = {},
) {
  const range = { totalShards, first: 0, last: totalShards - 1, withhold: [] }
  const answer = await worker.port.assign(
    { epoch: ++epoch, ...range, gateway: gateway(more), sessions: [...sessions] },
    never,
  )
  expect(answer).toMatchObject({ ok: true })
}

async function connected(totalShards: number, more: Partial<GatewayOptions> = {}, threads = 2): Promise<TestWorker> {
  const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url, threads })
  await assign(worker, totalShards, [], more)
  const shardIds = Array.from({ length: totalShards }, (_, shardId) => shardId)
  const answers = await Promise.all(shardIds.map((shardId) => worker.port.identify({ shardId, slotInMs: 0 }, never)))
  for (const answer of answers) expect(answer).toMatchObject({ ok: true, value: { identified: true } })
  await worker.until(() => shardIds.every((shardId) => worker.shard(shardId)?.state === 'Connected'))
  return worker
}

const allConnected = (worker: TestWorker, resumes: number) =>
  worker.until(() =>
    [...worker.view.shards.values()].every((shard) => shard.state === 'Connected' && shard.resumes >= resumes),
  )

/** Every count up to the simulator's own, none missing; `repeats`: whether some may have come twice. */
function expectNothingLost(totalShards: number, repeats = false): void {
  const rows = discord.stats({ detail: true }).bots[0]?.shards ?? {}
  for (let shardId = 0; shardId < totalShards; shardId++) {
    const counts = bot.counts(shardId)
    const all = Array.from({ length: rows[`${shardId}/${totalShards}`]?.counter ?? -1 }, (_, i) => i + 1)
    expect(repeats ? [...new Set(counts)] : counts).toEqual(all)
  }
}

/** Until the bot has everything that happened so far. */
async function settled(totalShards: number): Promise<void> {
  const last = (shardId: number) =>
    discord.stats({ detail: true }).bots[0]?.shards?.[`${shardId}/${totalShards}`]?.counter
  const shardIds = Array.from({ length: totalShards }, (_, shardId) => shardId)
  await until(
    () => discord.stats().burstsLeft === 0 && shardIds.every((shardId) => bot.counts(shardId).at(-1) === last(shardId)),
  )
}

const clean = () => {
  const { violations } = discord.stats()
  expect(
    Object.values(violations).every((count) => count === 0),
    JSON.stringify(discord.stats().violationDetails),
  ).toBe(true)
}

describe.each(['None', 'ZlibStream', 'ZstdStream'] as const)('with compression %s', (compression) => {
  it('forwards every event once and in order, and resumes after op 7 under traffic', async () => {
    await simulate()
    const worker = await connected(4, { compression })
    discord.control('events-per-second', { value: 2000 })
    for (let round = 1; round <= 3; round++) {
      discord.control('reconnect', {})
      await allConnected(worker, round)
    }
    discord.control('events-per-second', { value: 0 })
    await settled(4)
    expectNothingLost(4)
    expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 12 })
    expect(discord.stats().closes).toEqual({ 4000: 12 })
    clean()
  })
})

describe('sessions', () => {
  it.each([1000, 1001, 4000, 4008])('are resumed after Discord closed with %i', async (code) => {
    await simulate()
    const worker = await connected(4)
    discord.control('close', { code })
    await allConnected(worker, 1)
    discord.control('burst', { count: 50 })
    await settled(4)
    expectNothingLost(4)
    expect(discord.stats().identifies).toBe(4)
    expect(worker.shard(0)).toMatchObject({ closeCode: code, recovering: true })
    clean()
  })

  it.each([3, 20, 101, 611])('survive an outage of %i ms without one IDENTIFY', async (milliseconds) => {
    await simulate()
    const worker = await connected(20)
    discord.control('burst', { count: 20 })
    discord.control('refuse-connects', { milliseconds })
    discord.control('drop-sockets', {})
    await allConnected(worker, 1)
    discord.control('burst', { count: 20 })
    await settled(20)
    expectNothingLost(20)
    expect(discord.stats()).toMatchObject({ identifies: 20, resumesRefused: 0 })
    clean()
  })

  it('are given up after op 9, and the shard waits for its permit', async () => {
    await simulate()
    const worker = await connected(1)
    discord.control('invalidate', { resumable: false })
    await worker.until(() => worker.shard(0)?.state === 'Unidentified')
    expect(worker.shard(0)).toMatchObject({ recovering: true })
    expect(worker.shard(0)?.session).toBeUndefined()
    expect(discord.stats().identifies).toBe(1)
    expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
    expect(discord.stats().identifies).toBe(2)
    clean()
  })

  it('move to another worker: 0 identifies, 0 lost events', async () => {
    await simulate()
    const first = await connected(6)
    discord.control('events-per-second', { value: 1000 })
    await until(() => bot.counts(5).length > 20)
    const released = await first.port.release({ epoch: ++epoch, shardIds: [0, 1, 2, 3, 4, 5] }, never)
    if (!released.ok) throw new Error(released.failure.message)
    expect(released.value.released).toEqual([0, 1, 2, 3, 4, 5])
    expect(released.value.sessions).toHaveLength(6)
    await first.until(() => first.view.shards.size === 0)
    // A lost answer is asked for again.
    const again = await first.port.release({ epoch: ++epoch, shardIds: [0, 5] }, never)
    expect(again).toMatchObject({ ok: true, value: { sessions: [{ shardId: 0 }, { shardId: 5 }] } })
    const second = await workers.here({ token: TOKEN, sinkUrl: bot.url, threads: 1, workerId: 1 })
    await assign(second, 6, released.value.sessions)
    await allConnected(second, 1)
    discord.control('events-per-second', { value: 0 })
    await settled(6)
    // The sinks had confirmed everything before the sessions were handed over, so nothing comes twice either.
    expectNothingLost(6)
    expect(discord.stats()).toMatchObject({ identifies: 6, resumes: 6, resumesRefused: 0 })
    clean()
  })

  it('survive kill -9 by the manager’s copy, at least once', async () => {
    await simulate()
    const worker = await workers.process({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 3)
    for (const shardId of [0, 1, 2]) await worker.port.identify({ shardId, slotInMs: 0 }, never)
    discord.control('events-per-second', { value: 500 })
    await worker.until(() => [0, 1, 2].every((shardId) => (worker.shard(shardId)?.session?.sequence ?? 0) > 50))
    await worker.kill()
    const sessions = [...worker.view.shards.values()].flatMap(({ session }) => session ?? [])
    const next = await workers.process({ token: TOKEN, sinkUrl: bot.url })
    await assign(next, 3, sessions)
    await allConnected(next, 1)
    discord.control('events-per-second', { value: 0 })
    await settled(3)
    expectNothingLost(3, true)
    expect(discord.stats()).toMatchObject({ identifies: 3, resumesRefused: 0 })
    clean()
  })
})

describe('IDENTIFY_SHARD', () => {
  it('leaves on its slot, with the socket open before it', async () => {
    await simulate()
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 1)
    const startedAt = performance.now()
    const answer = worker.port.identify({ shardId: 0, slotInMs: 600 }, never)
    await until(() => discord.stats().openConnections === 1)
    expect(discord.stats().identifies).toBe(0)
    const result = await answer
    if (!result.ok) throw new Error(result.failure.message)
    const sentAfter = performance.now() - startedAt - result.value.identifiedMsAgo
    // Never before it. Late by what this machine needs for HTTP, both ways.
    expect(sentAfter).toBeGreaterThanOrEqual(600)
    expect(sentAfter).toBeLessThan(850)
  })

  it('is not spent when the manager hangs up before the slot', async () => {
    await simulate()
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 1)
    const manager = new AbortController()
    const answer = worker.port.identify({ shardId: 0, slotInMs: 500 }, manager.signal)
    await worker.until(() => worker.shard(0)?.state === 'Connecting' && discord.stats().openConnections === 1)
    manager.abort()
    expect(await answer).toMatchObject({ ok: false })
    await worker.until(() => worker.shard(0)?.state === 'Unidentified')
    await new Promise((resolve) => setTimeout(resolve, 800))
    expect(discord.stats()).toMatchObject({ identifies: 0, openConnections: 0 })
    expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
  })

  it('says what op 9 cost, and the next one works', async () => {
    await simulate({ identifyWindowMs: 60_000 }, { maxConcurrency: 1 })
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 2)
    expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
    const answer = await worker.port.identify({ shardId: 1, slotInMs: 0 }, never)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'INVALID_SESSION', status: 502 } })
    if (!answer.ok && answer.failure.code !== 'UNKNOWN')
      expect(answer.failure.identifiedMsAgo).toBeGreaterThanOrEqual(0)
    discord.control('max-concurrency', { value: 2 })
    await worker.until(() => worker.shard(1)?.state === 'Unidentified')
    expect(await worker.port.identify({ shardId: 1, slotInMs: 0 }, never)).toMatchObject({ ok: true })
    expect(discord.stats().identifies).toBe(3)
  })

  it('parks the shard after a fatal close, reports it and lives on', async () => {
    await simulate({}, { disallowedIntents: 1 << 15 })
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 2, [], { intents: 513 | (1 << 15) })
    const answer = await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'FATAL_CLOSE', closeCode: 4014 } })
    await worker.until(() => worker.shard(0)?.state === 'Offline')
    expect(worker.shard(0)).toMatchObject({ closeCode: 4014 })
    const parked = await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)
    expect(parked).toMatchObject({ ok: false, failure: { code: 'FATAL_CLOSE', closeCode: 4014 } })
    expect(discord.stats().identifies).toBe(1)
    await assign(worker, 2)
    await worker.until(() => worker.shard(0)?.state === 'Unidentified')
    expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
  })

  it('gives the slot back when HELLO does not come, and nothing is spent', async () => {
    await simulate()
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 1)
    discord.control('silence-hello', {})
    const answer = await worker.port.identify({ shardId: 0, slotInMs: 300 }, never)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'SLOT_MISSED', status: 503 } })
    expect(discord.stats().identifies).toBe(0)
    discord.control('clear-faults', {})
    expect(await worker.port.identify({ shardId: 0, slotInMs: 300 }, never)).toMatchObject({ ok: true })
  })

  it('spends nothing on a gateway that refuses, and nothing for a shard that is connected', async () => {
    await simulate()
    const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
    await assign(worker, 1)
    discord.control('refuse-connects', { count: 1 })
    const refused = await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)
    expect(refused).toMatchObject({ ok: false, failure: { code: 'CONNECT_FAILED' } })
    for (let i = 0; i < 3; i++)
      expect(await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)).toMatchObject({ ok: true })
    expect(discord.stats().identifies).toBe(1)
    const outside = await worker.port.identify({ shardId: 7, slotInMs: 0 }, never)
    expect(outside).toMatchObject({ ok: false, failure: { code: 'NOT_ASSIGNED', status: 422 } })
    const stale = await worker.port.assign(
      { epoch: epoch - 1, totalShards: 1, first: 0, last: 0, withhold: [], gateway: gateway(), sessions: [] },
      never,
    )
    expect(stale).toMatchObject({ ok: false, failure: { code: 'STALE_EPOCH', status: 409 } })
  })
})

describe('a gateway in trouble', () => {
  it('is not hammered while it refuses', async () => {
    await simulate()
    await connected(1)
    discord.control('refuse-connects', {})
    discord.control('drop-sockets', {})
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    expect(discord.stats().refusedConnects).toBeGreaterThan(0)
    expect(discord.stats().refusedConnects).toBeLessThanOrEqual(10)
  })

  it('that no longer answers heartbeats is left and the session resumed', async () => {
    await simulate({ heartbeatIntervalMs: 1_100 })
    const worker = await connected(2)
    discord.control('no-heartbeat-ack', { count: 4 })
    await allConnected(worker, 1)
    expect(worker.shard(0)?.reason).toContain('zombie')
    expect(discord.stats()).toMatchObject({ identifies: 2, resumes: 2 })
  })

  it('that falls silent without closing is left after a heartbeat, not after ws’ own 30 s', async () => {
    await simulate({ heartbeatIntervalMs: 1_100 })
    const { hostname, port } = new URL(discord.url)
    const network = await FaultProxy.start({ host: hostname, port: Number(port) })
    try {
      const worker = await connected(2, { url: `ws://127.0.0.1:${network.port}` })
      // Each shard has beaten at least once.
      await until(() => (discord.stats().receivedOps[1] ?? 0) >= 4)
      network.blackHole()
      await worker.until(() => [0, 1].every((shardId) => worker.shard(shardId)?.reason?.includes('zombie')))
      await network.heal()
      // This Discord ends a session after one and a half silent intervals, sooner than a client can know: op 9.
      await worker.until(() => [0, 1].every((shardId) => worker.shard(shardId)?.state === 'Unidentified'))
      expect(discord.stats()).toMatchObject({ identifies: 2, resumesRefused: 2 })
      for (const shardId of [0, 1])
        expect(await worker.port.identify({ shardId, slotInMs: 0 }, never)).toMatchObject({ ok: true })
      expect(discord.stats()).toMatchObject({ identifies: 4, openConnections: 2 })
    } finally {
      await network.close()
    }
  })

  it('with heartbeats of a second and less does not freeze the process', async () => {
    await simulate({ heartbeatIntervalMs: 800 })
    const worker = await connected(2)
    await until(() => (discord.stats().receivedOps[1] ?? 0) >= 6)
    discord.control('reconnect', {})
    await allConnected(worker, 1)
    clean()
  })
})
