import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ShardSummary } from '../../../sharder/shard/summary.ts'
import { StateBoard } from '../../../sharder/state-board.ts'
import { StateStream } from '../../../sharder/state-stream.ts'
import { CHECKPOINT_MS, KEEPALIVE_MS, STATE_GATHER_MS } from '../../../src/protocol/limits.ts'
import { type StateRecord, stateRecordSchema } from '../../../src/protocol/state.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

let clock: VirtualClock
let board: StateBoard
let stream: StateStream

const summary = (shardId: number, more: Partial<ShardSummary> = {}): ShardSummary => ({
  shardId,
  state: 'Unidentified',
  identifies: 0,
  resumes: 0,
  recovering: false,
  ...more,
})
const session = { sessionId: 'a', resumeGatewayUrl: 'wss://x', sequence: 5, totalShards: 4 }

beforeEach(() => {
  clock = new VirtualClock()
  board = new StateBoard(clock, { workerId: 1, bootId: 'boot', epoch: 0, draining: false })
  stream = new StateStream(board, clock)
})
afterEach(() => stream.destroy())

/** A reader that keeps up. */
function follow(): StateRecord[] {
  const records: StateRecord[] = []
  stream.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n')) if (line) records.push(stateRecordSchema.parse(JSON.parse(line)))
  })
  return records
}

it('begins with everything, then says what changed', async () => {
  board.put(summary(0))
  const records = follow()
  await clock.advance(0)
  expect(records).toMatchObject([{ type: 'SNAPSHOT', bootId: 'boot', shards: [{ shardId: 0, state: 'Unidentified' }] }])
  await clock.advance(100)
  board.put(summary(0, { state: 'Identifying', identifies: 1, identifiedAt: clock.now() - 30 }))
  board.put(summary(3))
  await clock.advance(STATE_GATHER_MS - 1)
  const before = records.length
  await clock.advance(1)
  expect(records.slice(before)).toMatchObject([
    {
      type: 'DELTA',
      shards: [{ shardId: 0, state: 'Identifying', identifiedMsAgo: 30 + STATE_GATHER_MS }, { shardId: 3 }],
    },
  ])
  board.remove(3)
  board.setHead({ epoch: 7 })
  await clock.advance(STATE_GATHER_MS)
  expect(records.at(-1)).toMatchObject({ type: 'DELTA', gone: [3], epoch: 7, shards: [] })
})

it('streams sequences once in a while only, and the age of what it says', async () => {
  board.put(summary(0, { state: 'Connected', session }))
  const records = follow()
  await clock.advance(STATE_GATHER_MS)
  const before = records.length
  for (let sequence = 6; sequence < 106; sequence++) board.report(0, { checkpoint: Float64Array.of(0, sequence, 12) })
  await clock.advance(CHECKPOINT_MS - 1)
  expect(records.length).toBe(before)
  await clock.advance(1)
  expect(records.slice(before)).toMatchObject([
    { shards: [{ session: { sequence: 105, lastContactMsAgo: 0 }, rttMs: 12 }] },
  ])
  board.put(summary(0, { state: 'Resuming', session: { ...session, lastContactAt: clock.now() - 400 } }))
  await clock.advance(STATE_GATHER_MS)
  expect(records.at(-1)).toMatchObject({ shards: [{ session: { lastContactMsAgo: 400 + STATE_GATHER_MS } }] })
})

it('keeps the connection alive', async () => {
  const records = follow()
  await clock.advance(KEEPALIVE_MS * 3)
  expect(records.filter(({ type }) => type === 'DELTA').length).toBeGreaterThanOrEqual(3)
})

it('gives a reader that is slow fewer records, never more memory', async () => {
  for (let shardId = 0; shardId < 500; shardId++) board.put(summary(shardId, { state: 'Connected', session }))
  stream.read()
  for (let round = 0; round < 200; round++) {
    for (let shardId = 0; shardId < 500; shardId++) board.report(0, { shards: [summary(shardId, { resumes: round })] })
    await clock.advance(STATE_GATHER_MS)
  }
  expect(stream.readableLength).toBeLessThan(400_000)
  const records = follow()
  await clock.advance(STATE_GATHER_MS)
  expect(records.length).toBeLessThan(10)
  const last = records.findLast((record) => record.type === 'DELTA' && record.shards.length > 0)
  expect(last?.type === 'DELTA' && last.shards.map(({ resumes }) => resumes)).toEqual(Array(500).fill(199))
})

it('ends with the final sessions', async () => {
  const records = follow()
  await clock.advance(0)
  board.setHead({ draining: true })
  board.drained([{ shardId: 2, ...session, lastContactMsAgo: 3 }])
  let ended = false
  stream.on('end', () => {
    ended = true
  })
  await clock.advance(STATE_GATHER_MS)
  expect(records.at(-1)).toMatchObject({ type: 'DRAINED', sessions: [{ shardId: 2 }] })
  expect(records.at(-2)).toMatchObject({ type: 'DELTA', draining: true })
  expect(ended).toBe(true)
})

it('adds up what the sinks of several threads say', async () => {
  board.report(0, { sinks: [{ name: 'bot', state: 'Flowing', pending: 3 }] })
  board.report(1, { sinks: [{ name: 'bot', state: 'Failing', message: 'it answered 503', pending: 4 }] })
  expect(board.snapshot().sinks).toEqual([{ name: 'bot', state: 'Failing', message: 'it answered 503', pending: 7 }])
})
