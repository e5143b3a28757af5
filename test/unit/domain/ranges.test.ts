import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  contains,
  mergedRanges,
  ownerOf,
  type Range,
  rangeOf,
  rangesFrom,
  rangeText,
  shardsOf,
  shardsOutside,
  sizeOf,
} from '../../../src/domain/ranges.ts'

const fleet = fc.record({
  totalShards: fc.integer({ min: 1, max: 3_000 }),
  totalWorkers: fc.integer({ min: 1, max: 400 }),
})

describe('rangeOf', () => {
  test('every shard is owned exactly once, in the order of the ordinals, more workers than shards included', () => {
    fc.assert(
      fc.property(fleet, ({ totalShards, totalWorkers }) => {
        const owned = [...Array(totalWorkers).keys()].flatMap((k) => [
          ...shardsOf(rangeOf(k, totalShards, totalWorkers)),
        ])
        expect(owned).toEqual([...Array(totalShards).keys()])
      }),
    )
  })

  test('sizes differ by at most one', () => {
    fc.assert(
      fc.property(fleet, ({ totalShards, totalWorkers }) => {
        const sizes = [...Array(totalWorkers).keys()].map((k) => sizeOf(rangeOf(k, totalShards, totalWorkers)))
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test.each([-1, 10, 11, 1_000])('worker %i of 10 owns nothing', (ordinal) => {
    expect(sizeOf(rangeOf(ordinal, 5_000, 10))).toBe(0)
    expect([...shardsOf(rangeOf(ordinal, 5_000, 10))]).toEqual([])
  })
})

describe('ownerOf', () => {
  test('is the inverse of rangeOf', () => {
    fc.assert(
      fc.property(fleet, fc.nat(), ({ totalShards, totalWorkers }, n) => {
        const shardId = n % totalShards
        const owner = ownerOf(shardId, totalShards, totalWorkers)
        expect(contains(rangeOf(owner, totalShards, totalWorkers), shardId)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  test('holds at the largest counts that a manifest can name', () => {
    for (const totalWorkers of [1, 7, 999, 1_000]) {
      for (const shardId of [0, 1, 49_999, 99_998, 99_999]) {
        const owner = ownerOf(shardId, 100_000, totalWorkers)
        expect(contains(rangeOf(owner, 100_000, totalWorkers), shardId)).toBe(true)
      }
    }
  })
})

describe('rangesFrom', () => {
  test('holds exactly the given shards in the fewest ascending ranges', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 60 })), (shardIds) => {
        const ranges = rangesFrom(shardIds)
        expect(ranges.flatMap((range) => [...shardsOf(range)])).toEqual([...new Set(shardIds)].sort((a, b) => a - b))
        for (const [i, range] of ranges.entries())
          if (i > 0) expect(range.first).toBeGreaterThan((ranges[i - 1]?.last ?? 0) + 1)
      }),
    )
  })
})

test.each([
  [{ first: 0, last: 499 }, '0-499'],
  [{ first: 7, last: 7 }, '7'],
  [{ first: 7, last: 6 }, 'none'],
])('%o is written %s', (range, text) => {
  expect(rangeText(range)).toBe(text)
})

const anyRange = fc.tuple(fc.nat({ max: 300 }), fc.integer({ min: -1, max: 40 })).map(([first, more]) => ({
  first,
  last: first + more,
}))
const anyRanges = fc.array(anyRange, { maxLength: 30 })

describe('mergedRanges', () => {
  test('are the fewest of the same shards, whatever overlaps, touches, is empty or twice', () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        expect(mergedRanges(ranges)).toEqual(rangesFrom(ranges.flatMap((range) => [...shardsOf(range)])))
      }),
    )
  })
})

describe('shardsOutside', () => {
  test('gives what no range contains, ascending', () => {
    fc.assert(
      fc.property(anyRange, anyRanges, (range, without) => {
        const expected = [...shardsOf(range)].filter((shardId) => !without.some((w) => contains(w, shardId)))
        expect([...shardsOutside(range, without)]).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('looks at each range a few times, however many shards there are', () => {
    let looks = 0
    const count = 5_000
    const without = Array.from({ length: count }, (_, i): Range => {
      // In no order, one shard each.
      const shardId = 2 * ((i * 7_919) % count)
      const look = () => {
        looks++
        return shardId
      }
      return Object.defineProperties({} as Range, { first: { get: look }, last: { get: look } })
    })
    expect([...shardsOutside({ first: 0, last: 2 * count - 1 }, without)]).toHaveLength(count)
    expect(looks).toBeLessThan(40 * count)
  })
})
