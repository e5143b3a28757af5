import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processClock } from '../../../../sharder/process-clock.ts'
import type { SinkOptions } from '../../../../sharder/sinks/buffered-sink.ts'
import { openSink } from '../../../../sharder/sinks/open-sink.ts'
import type { Feed, Sink } from '../../../../sharder/sinks/sink.ts'
import type { HttpSettings } from '../../../../src/protocol/sink-settings.ts'
import { createLogger } from '../../../../src/support/logger.ts'
import { RecordingBot, until } from '../../../support/sharder.ts'

let bot: RecordingBot
let sink: Sink
let fullChanges: boolean[]
let directory: string

function start(more: Partial<SinkOptions> = {}, http: Partial<HttpSettings> = {}): Sink {
  const settings = { name: 'bot', http: { url: bot.url, ...http } }
  sink = openSink(settings, {
    workerId: 3,
    clock: processClock,
    random: () => 0,
    logger: createLogger('test', 'silent'),
    onChange: () => fullChanges.push(sink.full),
    counts: { request: () => {}, delivered: () => {} },
    ...more,
  })
  return sink
}

function add(feed: Feed, s: number, padding = 0): void {
  const bytes = Buffer.from(`{"t":"X","s":${s},"op":0,"d":{"sim_n":${s},"p":"${'x'.repeat(padding)}"}}`)
  feed.add(bytes, 0, bytes.length, s)
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sink-test-'))
  fullChanges = []
  bot = await new RecordingBot().start()
})
afterEach(async () => {
  await sink.close()
  await bot.close()
  await rm(directory, { recursive: true })
})

describe('an http sink', () => {
  it('writes a line for each event, around the bytes as they came', async () => {
    const bodies: string[] = []
    const types: (string | undefined)[] = []
    bot.answer = (request, response, body) => {
      bodies.push(body)
      types.push(request.headers['content-type'])
      response.writeHead(200).end('{}')
    }
    const bytes = Buffer.from('??{ "op": 0, "é": "\\n" }??')
    start()
      .open(7, 0, '')
      .add(bytes, 2, bytes.length - 2, 1)
    expect(await sink.flush(10_000)).toBe(true)
    expect(bodies).toEqual(['{"workerId":3,"shardId":7,"payload":{ "op": 0, "é": "\\n" }}\n'])
    expect(types).toEqual(['application/x-ndjson'])
  })

  it('loses nothing and keeps the order of each shard on a sink that is slow, fails, resets and hangs', async () => {
    let request = 0
    bot.answer = async (_request, response, body) => {
      const turn = request++ % 7
      if (turn === 1) response.writeHead(500).end()
      else if (turn === 2) throw new Error('reset')
      else if (turn === 3) response.writeHead(429, { 'retry-after': '0.05' }).end()
      else if (turn === 4) await new Promise((resolve) => response.once('close', resolve))
      else {
        bot.keep(body)
        if (turn === 5) await new Promise((resolve) => setTimeout(resolve, 50))
        response.writeHead(204).end()
      }
    }
    start({ timeoutMs: 1_000, retry: { baseMs: 20, capMs: 50 } })
    const feeds = range(0, 9).map((shardId) => sink.open(shardId, 0, ''))
    for (const s of range(1, 2000)) {
      for (const feed of feeds) add(feed, s, 300)
      if (s % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(await sink.flush(60_000)).toBe(true)
    for (const shardId of range(0, 9)) expect(bot.counts(shardId)).toEqual(range(1, 2000))
    expect(feeds.map((feed) => feed.acknowledged)).toEqual(range(0, 9).map(() => 2000))
    expect(sink.record()).toEqual({ name: 'bot', state: 'Flowing', pending: 0 })
  })

  it('sends the little that many shards have in one request, and apart where that is refused', async () => {
    const sizes: number[] = []
    bot.answer = async (_request, response, body) => {
      const lines = body.split('\n').length - 1
      sizes.push(lines)
      if (lines > 8) response.writeHead(413).end()
      else {
        bot.keep(body)
        response.writeHead(204).end()
      }
    }
    start()
    const feeds = range(0, 15).map((shardId) => sink.open(shardId, 0, ''))
    for (const feed of feeds) add(feed, 1)
    expect(await sink.flush(10_000)).toBe(true)
    expect(sizes[0]).toBe(16)
    expect(sizes.slice(1).reduce((sum, lines) => sum + lines, 0)).toBe(16)
    for (const shardId of range(0, 15)) expect(bot.counts(shardId)).toEqual([1])
    expect(feeds.map((feed) => feed.acknowledged)).toEqual(range(0, 15).map(() => 1))
  })

  it('counts a sequence as confirmed only when the batch was', async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>()
    let asked = false
    bot.answer = async (_request, response) => {
      asked = true
      await allowed
      response.writeHead(204).end()
    }
    const feed = start().open(0, 41, '')
    add(feed, 42)
    await until(() => asked)
    expect(feed.acknowledged).toBe(41)
    expect(sink.record().pending).toBe(1)
    expect(await sink.flush(20)).toBe(false)
    allow()
    expect(await sink.flush(10_000)).toBe(true)
    expect(feed.acknowledged).toBe(42)
  })

  it('does not take an old session’s events for those of a new one', async () => {
    start()
    const old = sink.open(0, 0, '')
    add(old, 5000)
    const fresh = sink.open(0, 0, '')
    add(fresh, 1)
    await sink.flush(10_000)
    expect([old.acknowledged, fresh.acknowledged]).toEqual([5000, 1])
  })

  it('is full while too much waits, keeps what is added nonetheless, and says when it goes on', async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>()
    bot.answer = async (_request, response, body) => {
      await allowed
      bot.keep(body)
      response.writeHead(204).end()
    }
    start({ mostBytes: 2 * 1024 * 1024 })
    const feeds = range(0, 3).map((shardId) => sink.open(shardId, 0, ''))
    let sent = 0
    while (!sink.full) {
      sent++
      for (const feed of feeds) add(feed, sent, 1000)
    }
    // Memory is counted by slabs: what fits in the limit is at most the limit.
    expect(sent * 4 * 1000).toBeLessThan(2 * 1024 * 1024)
    expect(sent * 4 * 1000).toBeGreaterThan(512 * 1024)
    for (const s of range(sent + 1, sent + 10)) for (const feed of feeds) add(feed, s, 1000)
    allow()
    expect(await sink.flush(20_000)).toBe(true)
    expect(fullChanges).toEqual([true, false])
    for (const shardId of range(0, 3)) expect(bot.counts(shardId)).toEqual(range(1, sent + 10))
  })

  it('takes an event larger than a batch', async () => {
    const feed = start().open(0, 0, '')
    add(feed, 1, 10)
    add(feed, 2, 3_000_000)
    add(feed, 3, 10)
    await sink.flush(20_000)
    expect(bot.counts(0)).toEqual([1, 2, 3])
  })

  it('sends smaller batches to a sink with a small body limit', async () => {
    let largest = 0
    bot.answer = (_request, response, body) => {
      if (body.length > 20_000) return void response.writeHead(413).end()
      largest = Math.max(largest, body.length)
      bot.keep(body)
      response.writeHead(204).end()
    }
    const feed = start().open(0, 0, '')
    for (const s of range(1, 500)) add(feed, s, 1000)
    expect(await sink.flush(20_000)).toBe(true)
    expect(bot.counts(0)).toEqual(range(1, 500))
    expect(largest).toBeGreaterThan(0)
  })

  it('reads its key again when it is refused', async () => {
    const path = join(directory, 'key')
    await writeFile(path, 'old\n')
    bot.answer = (request, response, body) => {
      if (request.headers.authorization !== 'new') return void response.writeHead(401).end()
      bot.keep(body)
      response.writeHead(204).end()
    }
    const feed = start({}, { authorizationFile: path }).open(0, 0, '')
    add(feed, 1)
    await until(() => sink.record().state === 'Unauthorized')
    expect(sink.record().message).toContain('authorization')
    await writeFile(path, 'new\n')
    expect(await sink.flush(10_000)).toBe(true)
    expect(bot.counts(0)).toEqual([1])
    expect(sink.record().state).toBe('Flowing')
  })

  it('says why it fails while nobody listens', async () => {
    start({}, { url: 'http://127.0.0.1:1/' })
    add(sink.open(0, 0, ''), 1)
    await until(() => sink.record().state === 'Failing')
    expect(sink.record().message).toContain('ECONNREFUSED')
    expect(sink.record().pending).toBe(1)
  })
})
