import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Session } from '../../../src/protocol/session.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { KEY, RecordingBot, type TestWorker, until, Workers } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const never = new AbortController().signal
const SHARDS = [0, 1, 2, 3]

let discord: Simulator
let bot: RecordingBot
let workers: Workers
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sharder-state-'))
  workers = new Workers()
  bot = await new RecordingBot().start()
  discord = await startSimulator({
    timeScale: 50,
    sessionLifetimeMs: 90_000,
    replayBuffer: 200_000,
    bots: [{ token: TOKEN, maxConcurrency: 16 }],
  })
})
afterEach(async () => {
  await workers.close()
  await bot.close()
  await discord.close()
  await rm(directory, { recursive: true })
})

const assignment = (epoch: number, sessions: Session[] = []) => ({
  epoch,
  totalShards: SHARDS.length,
  first: 0,
  last: SHARDS.length - 1,
  withhold: [],
  gateway: { url: discord.gatewayUrl, version: 10, intents: 513, compression: 'None' as const },
  sessions,
})

async function identified(worker: TestWorker): Promise<void> {
  expect(await worker.port.assign(assignment(1), never)).toMatchObject({ ok: true })
  for (const shardId of SHARDS)
    expect(await worker.port.identify({ shardId, slotInMs: 0 }, never)).toMatchObject({ ok: true })
}

const counter = (shardId: number) => discord.stats({ detail: true }).bots[0]?.shards?.[`${shardId}/4`]?.counter ?? -1
const allCounts = (shardId: number) => Array.from({ length: counter(shardId) }, (_, i) => i + 1)
const settled = () =>
  until(
    () =>
      discord.stats().burstsLeft === 0 && SHARDS.every((shardId) => bot.counts(shardId).at(-1) === counter(shardId)),
  )

it('drains on SIGTERM: final sessions in the stream and in its directory, and the next process resumes from them alone', async () => {
  const first = await workers.process({ token: TOKEN, sinkUrl: bot.url, stateDirectory: directory })
  await identified(first)
  discord.control('burst', { count: 500 })
  await first.drain()
  await until(() => first.view.drained)
  expect(first.view.finalSessions.map(({ shardId }) => shardId).sort()).toEqual(SHARDS)
  const path = join(directory, 'state.json')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(JSON.parse(await readFile(path, 'utf8')).sessions).toEqual(first.view.finalSessions)
  expect(discord.stats().sessions).toBe(4)

  const second = await workers.process({ token: TOKEN, sinkUrl: bot.url, stateDirectory: directory })
  expect(await second.port.assign(assignment(2), never)).toMatchObject({ ok: true })
  await second.until(() => SHARDS.every((shardId) => second.shard(shardId)?.state === 'Connected'))
  await settled()
  for (const shardId of SHARDS) expect(bot.counts(shardId)).toEqual(allCounts(shardId))
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 4, resumesRefused: 0 })
})

it('refuses commands while it drains, and waits for a sink that is slow', async () => {
  const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url })
  await identified(worker)
  const { promise: allowed, resolve: allow } = Promise.withResolvers<void>()
  bot.answer = async (_request, response, body) => {
    await allowed
    bot.keep(body)
    response.writeHead(204).end()
  }
  discord.control('burst', { shards: [0], count: 50 })
  await worker.until(() => (worker.view.sinks[0]?.pending ?? 0) > 0)
  const drained = worker.drain()
  await worker.until(() => worker.view.draining)
  const refused = await worker.port.identify({ shardId: 0, slotInMs: 0 }, never)
  expect(refused).toMatchObject({ ok: false, failure: { code: 'DRAINING', status: 503 } })
  await until(() => discord.stats().openConnections === 0)
  allow()
  await drained
  await until(() => worker.view.drained)
  const sequence = worker.view.finalSessions.find(({ shardId }) => shardId === 0)?.sequence
  expect(sequence).toBe(bot.received.findLast(({ shardId }) => shardId === 0)?.s)
})

it('stops reading when the bot stops taking, within bounded memory, and loses nothing', async () => {
  const worker = await workers.process({ token: TOKEN, sinkUrl: bot.url })
  await identified(worker)
  const normal = bot.answer
  bot.answer = (_request, response) => void response.writeHead(503).end()
  const memory = async () =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${worker.pid}/status`, 'utf8'))?.[1]) / 1024
  const before = await memory()
  // About 100 MB of events; a worker keeps 32 MB for a thread.
  discord.control('burst', { count: 25_000 })
  await worker.until(() => (worker.view.sinks[0]?.pending ?? 0) > 15_000)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  expect(discord.stats().burstsLeft).toBeGreaterThan(0)
  expect(worker.view.sinks[0]).toMatchObject({ state: 'Failing', message: 'it answered 503' })
  expect((await memory()) - before).toBeLessThan(90)
  expect(SHARDS.map((shardId) => worker.shard(shardId)?.state)).toEqual(SHARDS.map(() => 'Connected'))
  bot.answer = normal
  await settled()
  for (const shardId of SHARDS) expect(bot.counts(shardId)).toEqual(allCounts(shardId))
  expect(discord.stats().identifies).toBe(4)
})

it('replaces a thread that dies; its shards resume, the others notice nothing', async () => {
  const threads: Worker[] = []
  const created = (thread: Worker) => threads.push(thread)
  process.on('worker', created)
  const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url, threads: 2 })
  process.off('worker', created)
  await identified(worker)
  discord.control('burst', { count: 50 })
  await settled()
  await worker.until(() =>
    SHARDS.every(
      (shardId) => worker.shard(shardId)?.session?.sequence === bot.received.findLast((e) => e.shardId === shardId)?.s,
    ),
  )
  await threads[1]?.terminate()
  await worker.until(() =>
    [1, 3].every((shardId) => worker.shard(shardId)?.resumes === 1 && worker.shard(shardId)?.state === 'Connected'),
  )
  expect([0, 2].map((shardId) => worker.shard(shardId)?.resumes)).toEqual([0, 0])
  expect(worker.shard(1)).toMatchObject({ identifies: 1, recovering: true })
  discord.control('burst', { count: 50 })
  await settled()
  for (const shardId of SHARDS) expect([...new Set(bot.counts(shardId))]).toEqual(allCounts(shardId))
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 2 })
  expect((await fetch(`${worker.url}/healthz`)).status).toBe(200)
})

it('serves its state to several readers, and metrics', async () => {
  const worker = await workers.here({ token: TOKEN, sinkUrl: bot.url, threads: 2 })
  await identified(worker)
  discord.control('burst', { count: 10 })
  await settled()
  const answer = await fetch(`${worker.url}/shards`, { headers: { authorization: KEY } })
  expect(await answer.json()).toMatchObject({
    type: 'SNAPSHOT',
    epoch: 1,
    assignment: { first: 0, last: 3 },
    draining: false,
  })
  const ends = [new AbortController(), new AbortController()]
  const views = ends.map((end) => {
    const seen = { states: [] as string[] }
    worker.port
      .watch((record) => {
        if (record.type === 'SNAPSHOT' || record.type === 'DELTA')
          for (const shard of record.shards) if (shard.shardId === 2) seen.states.push(shard.state)
      }, end.signal)
      .catch(() => undefined)
    return seen
  })
  await until(() => views.every(({ states }) => states.length > 0))
  discord.control('reconnect', { shards: [2] })
  await until(() => views.every(({ states }) => states.includes('Resuming') && states.at(-1) === 'Connected'))
  for (const end of ends) end.abort()
  const metrics = await (await fetch(`${worker.url}/metrics`)).text()
  expect(metrics).toContain('shardcluster_worker_shards{state="Connected"} 4')
  expect(metrics).toContain('shardcluster_worker_identifies_total{result="READY"} 4')
  expect(metrics).toContain('shardcluster_worker_events_total{type="READY"} 4')
})
