import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IdentifyBuckets, SendLimit, SessionStartLimit } from '../../../../src/simulator/rules/index.ts'

test('one IDENTIFY per key and window, and keys do not disturb each other', () => {
  const buckets = new IdentifyBuckets({ maxConcurrency: 4, windowMs: 5000 })
  expect(buckets.take(1, 0)).toEqual({ granted: true, bucket: 1 })
  expect(buckets.take(2, 0)).toEqual({ granted: true, bucket: 2 })
  expect(buckets.take(5, 4999)).toEqual({ granted: false, bucket: 1, earlyByMs: 1, heldBy: 1 })
  expect(buckets.take(5, 5000)).toEqual({ granted: true, bucket: 1 })
})

test('a refused IDENTIFY does not move the window', () => {
  const buckets = new IdentifyBuckets({ maxConcurrency: 1, windowMs: 5000 })
  buckets.take(0, 0)
  buckets.take(1, 4000)
  expect(buckets.take(1, 5000).granted).toBe(true)
})

test('a smaller max_concurrency counts what was identified in the last window under its new key', () => {
  const buckets = new IdentifyBuckets({ maxConcurrency: 16, windowMs: 5000 })
  buckets.take(3, 0)
  buckets.take(7, 1000)
  buckets.setMaxConcurrency(4)
  expect(buckets.maxConcurrency).toBe(4)
  expect(buckets.take(11, 5500)).toEqual({ granted: false, bucket: 3, earlyByMs: 500, heldBy: 7 })
})

test('property: two grants of one key are never closer than a window, and waiting a window always helps', () => {
  const attempts = fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 7000 })), {
    maxLength: 80,
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), attempts, (maxConcurrency, tries) => {
      const buckets = new IdentifyBuckets({ maxConcurrency, windowMs: 5000 })
      const granted = new Map<number, number>()
      let now = 0
      for (const [shardId, wait] of tries) {
        now += wait
        const last = granted.get(shardId % maxConcurrency)
        const decision = buckets.take(shardId, now)
        expect(decision.granted).toBe(last === undefined || now - last >= 5000)
        if (decision.granted) granted.set(shardId % maxConcurrency, now)
      }
    }),
  )
})

test('the day starts with its first IDENTIFY and ends 24 hours later', () => {
  const limit = new SessionStartLimit({ total: 3, windowMs: 1000 })
  expect(limit.state(500)).toEqual({ total: 3, remaining: 3, resetAfter: 0 })
  expect([limit.spend(600), limit.spend(700), limit.spend(800)]).toEqual([true, true, true])
  expect(limit.state(900)).toEqual({ total: 3, remaining: 0, resetAfter: 700 })
  expect(limit.spend(1599)).toBe(false)
  expect(limit.spend(1600)).toBe(true)
  expect(limit.state(1600)).toEqual({ total: 3, remaining: 2, resetAfter: 1000 })
})

test('remaining can be set', () => {
  const limit = new SessionStartLimit({ total: 1000, windowMs: 1000 })
  limit.setRemaining(1, 0)
  expect(limit.state(0).remaining).toBe(1)
  expect([limit.spend(1), limit.spend(2)]).toEqual([true, false])
})

test('the 121st payload within a minute is one too many', () => {
  const limit = new SendLimit(120, 60_000)
  for (let i = 0; i < 120; i += 1) expect(limit.take(i)).toBe(true)
  expect(limit.take(59_999)).toBe(false)
  expect(limit.take(60_000)).toBe(true)
})
