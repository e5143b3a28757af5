import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { epochOf } from '../../../src/domain/epoch.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { KEY, RecordingBot, type TestWorker, until, Workers } from '../../support/sharder.ts'

const TOKEN = fakeToken()
const SHARDS = [0, 1, 2, 3]
const never = new AbortController().signal

let discord: Simulator
let bot: RecordingBot
let workers: Workers
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'take-up-'))
  workers = new Workers()
  bot = await new RecordingBot().start()
  discord = await startSimulator({
    // Real time: the state file is written once a second, and nothing else is waited for.
    sessionLifetimeMs: 90_000,
    identifyWindowMs: 10,
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

const start = (graceSeconds = 30) =>
  workers.process({ token: TOKEN, sinkUrl: bot.url, stateDirectory: directory, threads: 2, graceSeconds })

const assignment = (epoch: number) => ({
  ...{ epoch, totalShards: SHARDS.length, first: 0, last: SHARDS.length - 1, withhold: [], sessions: [] },
  gateway: { url: discord.gatewayUrl, version: 10, intents: 513, compression: 'None' as const },
})

async function identified(worker: TestWorker): Promise<void> {
  expect(await worker.port.assign(assignment(epochOf(5, 1)), never)).toMatchObject({ ok: true })
  for (const shardId of SHARDS)
    expect(await worker.port.identify({ shardId, slotInMs: 0 }, never)).toMatchObject({ ok: true })
}

const connected = (worker: TestWorker) => (shardId: number) => worker.shard(shardId)?.state === 'Connected'
const counter = (shardId: number) => discord.stats({ detail: true }).bots[0]?.shards?.[`${shardId}/4`]?.counter ?? -1
const delivered = () =>
  until(() => discord.stats().burstsLeft === 0 && SHARDS.every((s) => bot.counts(s).at(-1) === counter(s)))
/** Two checkpoints: what is so now is in the file. */
const checkpoint = () => new Promise((resolve) => setTimeout(resolve, 2_200))

it('a killed process’ successor takes up its shards by the file alone: no manager, no IDENTIFY, no event lost', async () => {
  const first = await start()
  await identified(first)
  discord.control('burst', { count: 200 })
  await delivered()
  await checkpoint()
  discord.control('burst', { count: 200 })
  await first.kill()

  const second = await start()
  await second.until(() => SHARDS.every(connected(second)))
  await delivered()
  for (const shardId of SHARDS)
    expect([...new Set(bot.counts(shardId))]).toEqual(Array.from({ length: counter(shardId) }, (_, i) => i + 1))
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 4, resumesRefused: 0 })
  const metrics = await (await fetch(`${second.url}/metrics`)).text()
  expect(metrics).toMatch(/resumes_total\{cause="restart",result="RESUMED"\} 4\n/)
  expect(metrics).toMatch(/resume_gap_seconds_count\{cause="restart"\} 4\n/)
  expect(Number(/events_replayed_total (\d+)/.exec(metrics)?.[1])).toBeGreaterThan(0)
  // The leader whom the first had obeyed deposed another: the second knows.
  const stale = await second.port.assign(assignment(epochOf(4, 99)), never)
  expect(stale).toMatchObject({ ok: false, failure: { code: 'STALE_EPOCH' } })
  expect(await second.port.assign(assignment(epochOf(5, 2)), never)).toMatchObject({ ok: true })
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 4 })
})

it('READY that no sink had confirmed comes again in the session, and is taken for no other', async () => {
  const { answer } = bot
  bot.answer = (_request, response) => void response.writeHead(503).end()
  const first = await start()
  await identified(first)
  await checkpoint()
  await first.kill()
  bot.answer = answer

  const second = await start()
  await second.until(() => SHARDS.every(connected(second)))
  discord.control('burst', { count: 8 })
  await delivered()
  const readies = bot.received.filter(({ t }) => t === 'READY').map(({ shardId, s }) => [shardId, s])
  expect(readies.sort()).toEqual(SHARDS.map((shardId) => [shardId, 1]))
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 4, resumesRefused: 0, connectedShards: 4 })
})

it('what was released is not taken up again, however soon after its answer the process is killed', async () => {
  const first = await start()
  await identified(first)
  await checkpoint()
  const released = await first.port.release({ epoch: epochOf(5, 2), shardIds: [1, 2] }, never)
  await first.kill()
  expect(released).toMatchObject({ ok: true, value: { released: [1, 2] } })

  const second = await start()
  await second.until(() => [0, 3].every(connected(second)))
  expect([...second.view.shards.keys()].sort()).toEqual([0, 3])
  expect(discord.stats()).toMatchObject({ identifies: 4, resumes: 2, connectedShards: 2 })
  const answer = await fetch(`${second.url}/shards`, { headers: { authorization: KEY } })
  const { sessions } = (await answer.json()) as { sessions: { shardId: number }[] }
  expect(sessions.map(({ shardId }) => shardId).sort()).toEqual([1, 2])
})

it('told to end while nobody listens it goes on, until somebody does: the last word is for the next leader', async () => {
  const worker = await start(60)
  await identified(worker)
  await worker.stopListening()
  const ended = worker.drain()
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect(discord.stats().connectedShards).toBe(SHARDS.length)
  const view = worker.listenAgain()
  await ended
  expect(view.finalSessions.map(({ shardId }) => shardId).sort()).toEqual(SHARDS)
  expect(discord.stats()).toMatchObject({ connectedShards: 0, sessions: SHARDS.length })
})

it('whose last word nobody took, because the leader ended meanwhile, keeps it for the next leader', async () => {
  const worker = await start(60)
  await identified(worker)
  const { answer } = bot
  bot.answer = (_request, response) => void response.writeHead(503).end()
  discord.control('burst', { count: 8 })
  const ended = worker.drain()
  await worker.until(() => worker.view.draining)
  await worker.stopListening()
  bot.answer = answer
  await until(() => discord.stats().connectedShards === 0)
  // Its sinks have confirmed by then, and its state file is written.
  await checkpoint()
  const view = worker.listenAgain()
  await ended
  expect(view.finalSessions.map(({ shardId }) => shardId).sort()).toEqual(SHARDS)
})
