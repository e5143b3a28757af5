import type { ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { FROM_WORKERS } from '../../../src/limits.ts'
import { workerAgent } from '../../../src/manager/http-worker.ts'
import { burstBytes, type WorkerBound } from '../../../src/manager/worker-bounds.ts'
import { aRecord, aSession, aSnapshot } from './a-link.ts'
import { lying as lyingOver, pour } from './lying.ts'

const dispatcher = workerAgent()
afterAll(() => dispatcher.destroy())
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const MB = 1024 * 1024
const lines = (...records: unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('')
const hello = aSnapshot([aRecord(0)])
type Lying = typeof lyingOver extends (dispatcher: never, ...rest: infer Rest) => infer World
  ? (...rest: Rest) => World
  : never
const lying: Lying = async (...of) => {
  const world = await lyingOver(dispatcher, ...of)
  closing.push(world.close)
  return world
}

/** What the kernel's buffers of a loopback connection take of what nobody reads, and more. Bytes. */
const KERNEL = 8 * MB

describe('a worker that lies is taken for one that is away', () => {
  const foreign = Array.from({ length: 200 }, (_, i) => aRecord(i + 1, { session: aSession(i + 1) }))
  const kept = Array.from({ length: 10_000 }, (_, i) => aSession(i))
  const sink = { name: 's', state: 'Failing', pending: 0 }
  test.each<[string, (response: ServerResponse) => unknown, WorkerBound, RegExp]>([
    [
      'deltas of shards that do not exist',
      (response) => pour(response, lines(hello, { type: 'DELTA', shards: foreign.slice(0, 1) }), 64 * MB),
      'Shards',
      /speaks of shard 1, and the ShardCluster has 1$/,
    ],
    [
      'a delta of 200 shards where there is one',
      (response) => pour(response, lines({ type: 'DELTA', shards: foreign }), 64 * MB),
      'Claim',
      /named 200 shards, and may hold 1 shards/,
    ],
    [
      'a shard that is gone and never was',
      (response) => response.write(lines(hello, { type: 'DELTA', gone: [7] })),
      'Shards',
      /speaks of shard 7/,
    ],
    [
      'a line without end',
      (response) => pour(response, Buffer.alloc(MB, 0x61), 64 * MB),
      'Line',
      /record of more than 258 KB/,
    ],
    [
      'a line without end, a few bytes at a time',
      (response) => pour(response, 'aaaaaaa', 8 * MB),
      'Rate',
      /more than 66 KB a second/,
    ],
    [
      'snapshots of 10,000 sessions each',
      (response) => pour(response, lines(aSnapshot([aRecord(0)], { sessions: kept })), 64 * MB),
      'Line',
      /record of more than 258 KB/,
    ],
    [
      'a snapshot of 500 sessions',
      (response) => response.write(lines(aSnapshot([aRecord(0)], { sessions: kept.slice(0, 500) }))),
      'Claim',
      /named 500 sessions/,
    ],
    [
      'a sink message of 15 MB',
      (response) => pour(response, lines({ ...hello, sinks: [{ ...sink, message: 'x'.repeat(15 * MB) }] }), 1),
      'Line',
      /record of more than 258 KB/,
    ],
    [
      'nine sinks',
      (response) => response.write(lines({ ...hello, sinks: Array(9).fill(sink) })),
      'Record',
      /no state record.*sinks/,
    ],
    [
      'small deltas as fast as they are taken',
      (response) => pour(response, lines({ type: 'DELTA' }).repeat(1_000), 64 * MB),
      'Rate',
      /more than 100 records a second/,
    ],
    [
      'large deltas as fast as they are taken',
      (response) => pour(response, `${lines({ type: 'DELTA', x: 'x'.repeat(200_000) })}`, 64 * MB),
      'Rate',
      /more than 66 KB a second/,
    ],
    [
      'blank lines as fast as they are taken',
      (response) => pour(response, Buffer.alloc(MB, 0x0a), 64 * MB),
      'Rate',
      /66 KB a second/,
    ],
    [
      'a million wrong shards',
      (response) => response.write(`{"type":"DELTA","shards":[${'0,'.repeat(9_999)}0]}\n`),
      'Claim',
      /named 10000 shards/,
    ],
    ['nonsense', (response) => response.write('<html>\n'), 'Record', /not JSON/],
  ])('%s', async (_, say, bound, why) => {
    const { link, lost, closed, broken, read, logged } = await lying(say)
    await lost
    await closed
    expect(broken).toEqual([bound])
    expect(link.lastError).toMatch(why)
    expect(link.view.connected).toBe(false)
    // The one shard there is, if it was spoken of before.
    expect([...link.view.held()].filter((shardId) => shardId !== 0)).toEqual([])
    expect(link.view.parted.size).toBe(0)
    expect(read()).toBeLessThan(burstBytes(1) + KERNEL)
    expect(logged).toMatchObject([{ bound, why: link.lastError }])
    expect(JSON.stringify(logged).length).toBeLessThan(2_000)
  })

  test('is asked again after longer and longer, up to a minute, however much it said before', async () => {
    const { clock, streams, broken, lost } = await lying((response) =>
      response.write(lines(hello, { type: 'DELTA', gone: [7] })),
    )
    await lost
    const pauses = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    for (const [i, pause] of pauses.entries()) {
      await clock.advance(pause - 1)
      expect(streams()).toBe(i + 1)
      await clock.advance(1)
      while (broken.length < i + 2) await turn()
    }
  })

  test('a long sink message of an honest worker is cut, and the worker heard', async () => {
    const message = 'x'.repeat(40_000)
    const { link, heard } = await lying((response) =>
      response.write(lines({ ...hello, sinks: [{ name: 's', state: 'Failing', message }] })),
    )
    await heard
    expect(link.view.connected).toBe(true)
    expect(link.view.sinks[0]?.message).toBe(`${'x'.repeat(1_023)}…`)
  })

  test('a worker with 500 shards may say all of them, each second, with the longest reasons', async () => {
    const reason = 'r'.repeat(200)
    const shards = Array.from({ length: 500 }, (_, i) => aRecord(i, { reason, session: aSession(i) }))
    const response = Promise.withResolvers<ServerResponse>()
    const { link, heard, clock, broken } = await lying(
      (to) => {
        to.write(lines(aSnapshot(shards)))
        response.resolve(to)
      },
      { shards: 500 },
    )
    await heard
    const to = await response.promise
    for (let second = 0; second < 30; second++) {
      await clock.advance(1_000)
      for (let change = 0; change < 4; change++) to.write(lines({ type: 'DELTA', shards }))
      const { lastHeardAt } = link.view
      const sequence = second + 2
      to.write(lines({ type: 'DELTA', shards: [aRecord(0, { session: aSession(0, { sequence }) })] }))
      while (link.view.shards.get(0)?.session?.sequence !== sequence && broken.length === 0) await turn()
      expect(link.view.lastHeardAt).toBeGreaterThan(lastHeardAt)
    }
    expect(broken).toEqual([])
    expect(link.view.shards.size).toBe(500)
  })
})

describe('an answer that lies', () => {
  const never = new AbortController().signal
  const refuse = (response: ServerResponse, status: number, text: string) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    return pour(response, text, 1).then(() => response.end())
  }
  const failing = (message: string) => JSON.stringify({ status: 409, code: 'STALE_EPOCH', message })

  test('a refusal of 15 MB is read to 64 KB, and ends the stream as well', async () => {
    const { link, port, lost, heard, broken, read } = await lying((response) => response.write(lines(hello)), {
      command: (response) => refuse(response, 409, failing('x'.repeat(15 * MB))),
    })
    await heard
    const answer = link.judged(await port.assign({ epoch: 1 } as never, never))
    expect(answer).toEqual({
      ok: false,
      failure: { code: 'UNKNOWN', bound: 'Answer', message: 'the worker gave an answer of more than 64 KB' },
    })
    await lost
    expect(broken).toEqual(['Answer'])
    expect(link.lastError).toBe('the worker gave an answer of more than 64 KB')
    expect(read()).toBeLessThan(KERNEL)
  })

  test.each([
    ['sessions of shards that it was not asked about', { released: [0], sessions: [aSession(5)] }],
    ['shards that it was not asked about', { released: [0, 5], sessions: [] }],
  ])('a release with %s', async (_, body) => {
    const { port } = await lying((response) => response.write(lines(hello)), {
      command: (response) => refuse(response, 200, JSON.stringify(body)),
    })
    const answer = await port.release({ epoch: 1, shardIds: [0] }, never)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'UNKNOWN', bound: 'Shards' } })
  })

  test('a release may be as large as the sessions of what was asked', async () => {
    const shardIds = [...Array(1_000).keys()]
    const sessions = shardIds.map((shardId) => aSession(shardId, { resumeGatewayUrl: `wss://${'g'.repeat(1_000)}` }))
    const { port } = await lying((response) => response.write(lines(hello)), {
      command: (response) => refuse(response, 200, JSON.stringify({ released: shardIds, sessions })),
    })
    expect(await port.release({ epoch: 1, shardIds }, never)).toMatchObject({ ok: true })
  })

  test('requests that are never answered take so many connections and no more; an IDENTIFY is not behind payloads', async () => {
    const held = new AbortController()
    let under = 0
    const { port } = await lying((response) => response.write(lines(hello)), { command: () => void under++ })
    const payload = { op: 3, d: {} }
    const send = () => port.send({ shardIds: [0], payload, withinMs: 0 }, held.signal)
    const waiting = Array.from({ length: FROM_WORKERS.payloads }, send)
    expect(await send()).toMatchObject({ ok: false, failure: { code: 'CONNECT_FAILED' } })
    const permit = port.identify({ shardId: 0, slotInMs: 0 }, held.signal)
    while (under < FROM_WORKERS.payloads + 1) await turn()
    held.abort()
    expect(await Promise.all(waiting)).toHaveLength(FROM_WORKERS.payloads)
    await permit
    // What was taken back makes room.
    const again = new AbortController()
    const next = port.send({ shardIds: [0], payload, withinMs: 0 }, again.signal)
    while (under < FROM_WORKERS.payloads + 2) await turn()
    again.abort()
    expect(await next).toMatchObject({ failure: { code: 'UNKNOWN' } })
  })
})
