import { afterEach, beforeEach, expect, it } from 'vitest'
import { processClock } from '../../../../sharder/process-clock.ts'
import { openSink } from '../../../../sharder/sinks/open-sink.ts'
import type { Sink } from '../../../../sharder/sinks/sink.ts'
import { createLogger } from '../../../../src/support/logger.ts'
import { RecordingBot, until } from '../../../support/sharder.ts'

let bot: RecordingBot
let sink: Sink

beforeEach(async () => {
  bot = await new RecordingBot().start()
  sink = openSink(
    { name: 'bot', http: { url: bot.url, format: 'Event' } },
    {
      workerId: 3,
      clock: processClock,
      random: () => 0,
      logger: createLogger('test', 'silent'),
      onChange: () => {},
      counts: { request: () => {}, delivered: () => {} },
      timeoutMs: 10_000,
      retry: { baseMs: 20, capMs: 50 },
    },
  )
})
afterEach(async () => {
  await sink.close()
  await bot.close()
})

function add(shardId: number, feed: ReturnType<Sink['open']>, s: number): void {
  const bytes = Buffer.from(`{"t":"X","s":${s},"op":0,"d":{"sim_n":${s},"shard":${shardId}}}`)
  feed.add(bytes, 0, bytes.length, s)
}

it('posts one event a request, as JSON', async () => {
  const requests: unknown[] = []
  bot.answer = (request, response, body) => {
    requests.push([request.headers['content-type'], JSON.parse(body)])
    response.writeHead(200).end('{"success":true}')
  }
  add(7, sink.open(7, 0, ''), 1)
  expect(await sink.flush(10_000)).toBe(true)
  const payload = { t: 'X', s: 1, op: 0, d: { sim_n: 1, shard: 7 } }
  expect(requests).toEqual([['application/json', { workerId: 3, shardId: 7, payload }]])
})

it('posts shards side by side, but never so many that it hurts, and each in its order, whatever fails', async () => {
  let open = 0
  let most = 0
  let turn = 0
  bot.answer = async (_request, response, body) => {
    open++
    most = Math.max(most, open)
    const fault = turn++ % 11
    await new Promise((resolve) => setTimeout(resolve, 2))
    open--
    if (fault === 3) return void response.writeHead(500).end()
    if (fault === 6) throw new Error('reset')
    bot.keep(body)
    response.writeHead(204).end()
  }
  const shards = Array.from({ length: 200 }, (_, shardId) => shardId)
  const feeds = shards.map((shardId) => sink.open(shardId, 0, ''))
  for (let s = 1; s <= 10; s++) for (const shardId of shards) add(shardId, feeds[shardId] as never, s)
  expect(await sink.flush(60_000)).toBe(true)
  for (const shardId of shards) expect(bot.counts(shardId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(most).toBeGreaterThan(8)
  expect(most).toBeLessThanOrEqual(64)
})

it('says when an event is larger than the bot takes', async () => {
  bot.answer = (_request, response) => void response.writeHead(413).end()
  add(0, sink.open(0, 0, ''), 1)
  await until(() => sink.record().state === 'Failing')
  expect(sink.record().message).toMatch(/raise its body limit/)
})
