import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketOf, commonConcurrency, type Fleet, rankOf } from '../../../src/domain/identify-order.ts'
import { ownerOf } from '../../../src/domain/ranges.ts'

const fleets = fc.record({
  totalShards: fc.integer({ min: 1, max: 1_500 }),
  totalWorkers: fc.integer({ min: 1, max: 40 }),
  maxConcurrency: fc.constantFrom(1, 2, 3, 16, 64, 128),
})
const order = fc.constantFrom('Spread' as const, 'Strict' as const)

/** Shards of each bucket in the order in which they identify. */
function buckets(fleet: Fleet, order: 'Spread' | 'Strict'): number[][] {
  const result: number[][] = Array.from({ length: fleet.maxConcurrency }, () => [])
  for (let shardId = 0; shardId < fleet.totalShards; shardId++)
    result[bucketOf(shardId, fleet.maxConcurrency)]?.push(shardId)
  for (const bucket of result) bucket.sort((a, b) => rankOf(a, order, fleet) - rankOf(b, order, fleet))
  return result
}

test('no two shards of a bucket have the same rank', () => {
  fc.assert(
    fc.property(fleets, order, (fleet, order) => {
      for (const bucket of buckets(fleet, order)) {
        const ranks = bucket.map((shardId) => rankOf(shardId, order, fleet))
        expect(new Set(ranks).size).toBe(ranks.length)
        expect(ranks.every((rank) => Number.isInteger(rank))).toBe(true)
      }
    }),
  )
})

test('Strict is the order of the ids, wave by wave', () => {
  fc.assert(
    fc.property(fleets, (fleet) => {
      const { totalShards, maxConcurrency } = fleet
      for (let shardId = 0; shardId < totalShards; shardId++)
        expect(rankOf(shardId, 'Strict', fleet)).toBe(Math.floor(shardId / maxConcurrency))
    }),
  )
})

test('Spread: the first waves fall on all workers alike when each has shards of each bucket', () => {
  const even = fc.record({
    totalWorkers: fc.integer({ min: 1, max: 20 }),
    maxConcurrency: fc.constantFrom(1, 2, 16, 64),
  })
  fc.assert(
    fc.property(even, fc.integer({ min: 1, max: 4 }), fc.nat(500), ({ totalWorkers, maxConcurrency }, turns, more) => {
      const fleet = { totalWorkers, maxConcurrency, totalShards: totalWorkers * maxConcurrency * turns + more }
      const perWorker: number[] = Array(totalWorkers).fill(0)
      for (const bucket of buckets(fleet, 'Spread')) {
        const owner = ownerOf(bucket[0] as number, fleet.totalShards, totalWorkers)
        perWorker[owner] = (perWorker[owner] ?? 0) + 1
      }
      const share = maxConcurrency / totalWorkers
      for (const count of perWorker) expect(Math.abs(count - share)).toBeLessThanOrEqual(1)
    }),
  )
})

test('Spread walks the workers in turn: no worker comes twice in a bucket before every other came once', () => {
  const fleet = { totalShards: 5_000, totalWorkers: 10, maxConcurrency: 64 }
  for (const bucket of buckets(fleet, 'Spread')) {
    const first = bucket.slice(0, 10).map((shardId) => ownerOf(shardId, 5_000, 10))
    expect(new Set(first).size).toBe(10)
  }
})

test('ascending ids would put the first wave of 5,000 shards on one worker: what Spread is for', () => {
  const fleet = { totalShards: 5_000, totalWorkers: 10, maxConcurrency: 64 }
  const workers = (order: 'Spread' | 'Strict') =>
    new Set(buckets(fleet, order).map(([shardId]) => ownerOf(shardId as number, 5_000, 10))).size
  expect({ Strict: workers('Strict'), Spread: workers('Spread') }).toEqual({ Strict: 1, Spread: 10 })
})

test('buckets that are right whoever heard the true max_concurrency: two shards of one bucket of any are of one here', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 128 }), { minLength: 1, maxLength: 4 }), (heard) => {
      const common = commonConcurrency(heard)
      for (const maxConcurrency of heard)
        for (let shardId = 0; shardId < 300; shardId++)
          expect(bucketOf(shardId + maxConcurrency, common)).toBe(bucketOf(shardId, common))
    }),
    { numRuns: 30 },
  )
  expect(commonConcurrency([16])).toBe(16)
  expect(commonConcurrency([16, 64])).toBe(16)
})
