import { expect, test } from 'vitest'
import { SessionLedger } from '../../../src/manager/session-ledger.ts'
import { SESSION_LIFETIME_MS, type Session } from '../../../src/protocol/session.ts'

const session = (shardId: number, more: Partial<Session> = {}): Session => ({
  ...{
    shardId,
    sessionId: `s${shardId}`,
    resumeGatewayUrl: 'wss://g',
    sequence: 1,
    totalShards: 10,
    lastContactMsAgo: 0,
  },
  ...more,
})

test('a connected session is fresh however long ago it was recorded', () => {
  const ledger = new SessionLedger()
  ledger.record(session(1), true, 0)
  expect(ledger.resumable([1], 10, 10_000_000)).toEqual([session(1)])
})

test('one that is disconnected ages, and is dropped when Discord no longer has it', () => {
  const ledger = new SessionLedger()
  ledger.record(session(1, { lastContactMsAgo: 5_000 }), false, 10_000)
  expect(ledger.resumable([1], 10, 20_000)).toEqual([session(1, { lastContactMsAgo: 15_000 })])
  expect(ledger.resumable([1], 10, 5_000 + SESSION_LIFETIME_MS - 1)).toHaveLength(1)
  expect(ledger.resumable([1], 10, 5_000 + SESSION_LIFETIME_MS)).toEqual([])
})

test('losing contact again does not make it younger; hearing of it does', () => {
  const ledger = new SessionLedger()
  ledger.record(session(1), true, 0)
  ledger.disconnected(1, 1_000)
  ledger.disconnected(1, 60_000)
  ledger.disconnected(2, 0)
  expect(ledger.resumable([1, 2], 10, 61_000)).toEqual([session(1, { lastContactMsAgo: 60_000 })])
  ledger.record(session(1, { sequence: 7 }), true, 62_000)
  expect(ledger.resumable([1], 10, 1_000_000)).toEqual([session(1, { sequence: 7 })])
})

test('a session is worth nothing under another shard count, nor after it was dropped', () => {
  const ledger = new SessionLedger()
  ledger.record(session(1), true, 0)
  ledger.record(session(2), true, 0)
  ledger.end(2)
  expect(ledger.resumable([1, 2, 3], 10, 0)).toEqual([session(1)])
  expect(ledger.resumable([1, 2, 3], 20, 0)).toEqual([])
})

test('a copy fills a gap, betters what is known, and never replaces a session that is connected or known to be dead', () => {
  const ledger = new SessionLedger()
  ledger.offer(session(1, { sequence: 5, lastContactMsAgo: 1_000 }), 10_000)
  expect(ledger.resumable([1], 10, 10_000)).toEqual([session(1, { sequence: 5, lastContactMsAgo: 1_000 })])
  ledger.offer(session(1, { sequence: 3, lastContactMsAgo: 500 }), 10_000)
  expect(ledger.resumable([1], 10, 10_000)).toEqual([session(1, { sequence: 5, lastContactMsAgo: 500 })])
  ledger.offer(session(1, { sessionId: 'older', lastContactMsAgo: 2_000 }), 10_000)
  expect(ledger.resumable([1], 10, 10_000)[0]?.sessionId).toBe('s1')
  ledger.record(session(1, { sequence: 9 }), true, 11_000)
  ledger.offer(session(1, { sessionId: 'other', sequence: 99 }), 11_000)
  expect(ledger.resumable([1], 10, 11_000)).toEqual([session(1, { sequence: 9 })])
  ledger.end(1)
  expect([ledger.knows(1), ledger.connected(1)]).toEqual([true, false])
  ledger.offer(session(1), 11_000)
  expect(ledger.resumable([1], 10, 11_000)).toEqual([])
  ledger.offer(session(1, { sessionId: 'another' }), 11_000)
  expect(ledger.resumable([1], 10, 11_000)).toHaveLength(1)
})
