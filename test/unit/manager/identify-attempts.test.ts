import { describe, expect, test } from 'vitest'
import { BREAKER_WINDOW_MS, MOST_IDENTIFIES } from '../../../src/domain/circuit-breaker.ts'
import { IdentifyAttempts } from '../../../src/manager/identify-attempts.ts'
import type { Answer } from '../../../src/manager/ports.ts'
import type { Identified } from '../../../src/protocol/commands.ts'
import { failure } from '../../../src/protocol/failures.ts'

const MINUTE_MS = 60_000
const ready = (identifiedMsAgo = 0): Answer<Identified> => ({
  ok: true,
  value: { identified: true, shardId: 1, workerId: 0, identifiedMsAgo },
})
const closed = (identifiedMsAgo?: number): Answer<Identified> => ({
  ok: false,
  failure: failure('CLOSED', 'closed with 1011', identifiedMsAgo === undefined ? {} : { identifiedMsAgo }),
})
const unknown: Answer<Identified> = { ok: false, failure: { code: 'UNKNOWN', message: 'hung up' } }
/** Full jitter is left out: the longest pauses. */
const attempts = () => new IdentifyAttempts(() => 1)

describe('what became of an attempt', () => {
  test('says when IDENTIFY left: so long ago, not at all, or nobody knows', () => {
    const one = attempts()
    expect(one.settle(1, ready(400), 10_000)).toEqual({ sentAt: 9_600, answeredInMs: 400, tooEarly: false })
    expect(one.settle(1, closed(), 10_000)).toEqual({ sentAt: undefined, tooEarly: false })
    expect(one.settle(1, closed(300), 10_000)).toEqual({ sentAt: 9_700, tooEarly: false })
    expect(one.settle(1, unknown, 10_000)).toEqual({ sentAt: 'unknown', tooEarly: false })
    const early: Answer<Identified> = { ok: false, failure: failure('INVALID_SESSION', 'op 9', { identifiedMsAgo: 0 }) }
    expect(one.settle(1, early, 10_000).tooEarly).toBe(true)
  })

  test('holds the shard back for longer the more often it fails, for longest if it cost an IDENTIFY', () => {
    const free = attempts()
    const spent = attempts()
    const waits = (one: IdentifyAttempts, answer: Answer<Identified>) => {
      one.settle(1, answer, 0)
      return one.notBefore(1, 0) ?? 0
    }
    const [freely, dearly] = [[1, 2, 3].map(() => waits(free, closed())), [1, 2, 3].map(() => waits(spent, closed(0)))]
    expect(freely).toEqual([500, 1_000, 2_000])
    expect(dearly).toEqual([10_000, 20_000, 40_000])
    free.connected(1)
    expect([free.notBefore(1, 0), free.all().size]).toEqual([undefined, 0])
  })
})

describe('the circuit breaker', () => {
  test('opens for a shard that gets a session and loses it again and again, and for no other', () => {
    const one = attempts()
    for (let times = 0; times < MOST_IDENTIFIES; times++) {
      expect(one.notBefore(1, times * MINUTE_MS)).toBeUndefined()
      one.settle(1, ready(), times * MINUTE_MS)
      // READY ends a back-off, and not what was spent.
      one.connected(1)
    }
    one.settle(2, ready(), 0)
    const now = (MOST_IDENTIFIES - 1) * MINUTE_MS
    expect(one.notBefore(1, now)).toBe(BREAKER_WINDOW_MS)
    expect(one.notBefore(2, now)).toBeUndefined()
    expect(one.open(now)).toEqual([{ shardId: 1, identifies: MOST_IDENTIFIES, until: BREAKER_WINDOW_MS }])
    expect(one.open(BREAKER_WINDOW_MS)).toEqual([])
    expect(one.notBefore(1, BREAKER_WINDOW_MS)).toBeUndefined()
  })

  test('counts what was, or may have been, sent, and nothing else', () => {
    const one = attempts()
    for (let times = 0; times < 3 * MOST_IDENTIFIES; times++) one.settle(1, closed(), times)
    expect(one.open(100)).toEqual([])
    for (let times = 0; times < MOST_IDENTIFIES; times++) one.settle(1, times % 2 ? unknown : closed(0), 100)
    expect(one.open(100)).toHaveLength(1)
  })

  test('lets the longer of two reasons to wait hold', () => {
    const one = attempts()
    for (let times = 0; times < MOST_IDENTIFIES; times++) one.settle(1, closed(0), 0)
    // The back-off alone would be over in minutes.
    expect(one.notBefore(1, 0)).toBe(BREAKER_WINDOW_MS)
  })

  test('is closed by whoever mended something', () => {
    const one = attempts()
    for (let times = 0; times < MOST_IDENTIFIES; times++) one.settle(1, ready(), 0)
    one.clear()
    expect([one.notBefore(1, 0), one.open(0)]).toEqual([undefined, []])
  })
})
