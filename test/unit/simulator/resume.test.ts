import { constants, inflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Simulator } from '../../../src/simulator/index.ts'
import { type Client, counters, until } from './client.ts'
import { simulators, TOKEN } from './harness.ts'
import { ManualClock } from './manual-clock.ts'

const { start, connect } = simulators()

async function resume(simulator: Simulator, sessionId: string, seq: number): Promise<Client> {
  const client = connect(simulator)
  await client.op(10)
  client.send(6, { token: TOKEN, session_id: sessionId, seq })
  return client
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

test('events of a lost connection are replayed in order, then RESUMED; live ones follow; nothing is lost', async () => {
  const simulator = await start({ guildsPerShard: 0 })
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 10 })
  await until(() => counters(client).length === 10)
  client.ws.terminate()
  await until(() => simulator.stats().connectedShards === 0)
  simulator.control('events-per-second', { value: 400 })
  await until(() => (simulator.stats({ detail: true }).bots[0]?.shards?.['0/1']?.counter ?? 0) >= 30)
  const again = await resume(simulator, ready.d.session_id, 6)
  await again.event('RESUMED')
  const replayed = counters(again)
  expect(replayed[0]).toBe(6)
  await until(() => counters(again).length > replayed.length + 10)
  simulator.control('events-per-second', { value: 0 })
  const seen = counters(again)
  expect(seen).toEqual(range(6, seen.at(-1) ?? 0))
  const sequences = again.payloads.flatMap(({ s }) => s ?? [])
  expect(sequences).toEqual(range(7, sequences.at(-1) ?? 0))
  // The replayed events are the very events, to the byte.
  expect(again.texts[1]).toBe(client.texts.find((text) => text.includes('"s":7,')))
  expect(simulator.stats()).toMatchObject({ resumes: 1, identifies: 1, violations: { doubleOwner: 0 } })
  expect(simulator.stats().replayedEvents).toBe(replayed.length)
})

test('in the place of an old RESUMED something is replayed that says nothing: no sequence is left out', async () => {
  const simulator = await start({ guildsPerShard: 0 })
  const ready = await connect(simulator).ready(TOKEN, [0, 1])
  const second = await resume(simulator, ready.d.session_id, 1)
  expect((await second.event('RESUMED')).s).toBe(2)
  const third = await resume(simulator, ready.d.session_id, 1)
  expect((await third.event('RESUMED')).s).toBe(3)
  const events = third.payloads.flatMap(({ t, s }) => (t === null ? [] : [[t, s]]))
  expect(events).toEqual([
    ['PRESENCES_REPLACE', 2],
    ['RESUMED', 3],
  ])
})

test('a RESUME takes a live session over: the old connection is closed, nobody owns it twice', async () => {
  const simulator = await start()
  const first = connect(simulator)
  const ready = await first.ready(TOKEN, [0, 1])
  const second = await resume(simulator, ready.d.session_id, 1)
  await second.event('RESUMED')
  expect((await first.closed).code).toBe(4000)
  simulator.control('burst', { count: 1 })
  await until(() => counters(second).includes(3))
  expect(simulator.stats()).toMatchObject({ connectedShards: 1, violations: { doubleOwner: 0 } })
})

test('an unknown session is op 9, a sequence from the future is 4007', async () => {
  const simulator = await start()
  expect((await (await resume(simulator, 'nobody', 1)).op(9)).d).toBe(false)
  const ready = await connect(simulator).ready(TOKEN, [0, 1])
  const ahead = await resume(simulator, ready.d.session_id, 1000)
  expect((await ahead.closed).code).toBe(4007)
})

test('a session that expired, or whose buffer has forgotten the sequence, is op 9', async () => {
  const clock = new ManualClock()
  const simulator = await start({ replayBuffer: 5, guildsPerShard: 0 }, {}, clock)
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 20 })
  await until(() => counters(client).length === 20)
  expect((await (await resume(simulator, ready.d.session_id, 2)).op(9)).d).toBe(false)
  const kept = await resume(simulator, ready.d.session_id, 16)
  await kept.event('RESUMED')
  await kept.close(4000)
  clock.advance(90_000)
  await until(() => simulator.stats().sessionsExpired === 1)
  expect((await (await resume(simulator, ready.d.session_id, 22)).op(9)).d).toBe(false)
})

test.each([
  [1000, false],
  [1001, false],
  [4000, true],
  [3000, true],
])('after a client closes with %i the session is resumable: %s', async (code, resumable) => {
  const simulator = await start()
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  await client.close(code)
  const again = await resume(simulator, ready.d.session_id, 1)
  await (resumable ? again.event('RESUMED') : again.op(9))
})

test('the counter of a shard goes on over a new session, and no event happens while there is none', async () => {
  const simulator = await start({ guildsPerShard: 1, identifyWindowMs: 1 })
  const client = connect(simulator)
  await client.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 4 })
  await until(() => counters(client).length === 5)
  await client.close(1000)
  expect(simulator.control('burst', { count: 100 })).toEqual({ affected: 0 })
  const again = connect(simulator)
  await again.ready(TOKEN, [0, 1])
  await until(() => counters(again).length === 1)
  expect(counters(again)).toEqual([6])
})

test('a burst larger than every buffer arrives whole and in order at a client that reads slowly', async () => {
  const simulator = await start({ guildsPerShard: 0 })
  const client = connect(simulator)
  await client.ready(TOKEN, [0, 1])
  client.ws.pause()
  simulator.control('burst', { count: 20_000 })
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(simulator.stats().burstsLeft).toBeGreaterThan(10_000)
  client.ws.resume()
  await until(() => counters(client).length === 20_000)
  expect(counters(client)).toEqual(range(1, 20_000))
  expect(simulator.stats()).toMatchObject({ burstsLeft: 0, violations: { slowConsumer: 0 } })
})

test('a client that falls behind by more than the replay buffer is closed, and its session is over', async () => {
  const simulator = await start({ guildsPerShard: 0, replayBuffer: 10 })
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  client.ws.pause()
  simulator.control('events-per-second', { value: 50_000 })
  await until(() => simulator.stats().violations.slowConsumer === 1)
  client.ws.resume()
  expect((await client.closed).code).toBe(4000)
  await (await resume(simulator, ready.d.session_id, 5)).op(9)
})

test('zlib-stream: each message ends in 00 00 ff ff and belongs to one context', async () => {
  const simulator = await start({ guildBytes: 200_000 })
  const client = connect(simulator, 'v=10&encoding=json&compress=zlib-stream')
  await client.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 500 })
  await until(() => counters(client).length === 502)
  for (const frame of client.frames) expect(frame.subarray(-4).toString('hex')).toBe('0000ffff')
  expect(client.frames).toHaveLength(client.payloads.length)
  const whole = inflateSync(Buffer.concat(client.frames), { finishFlush: constants.Z_SYNC_FLUSH })
  expect(whole.toString()).toBe(client.texts.join(''))
})

test('zstd-stream: one message per payload, in one frame', async () => {
  const simulator = await start()
  const client = connect(simulator, 'v=10&encoding=json&compress=zstd-stream')
  await client.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 200 })
  await until(() => counters(client).length === 202)
  expect(client.frames).toHaveLength(client.payloads.length)
})
