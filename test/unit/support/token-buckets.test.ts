import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenBuckets } from '../../../src/support/token-buckets.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

describe('TokenBuckets', () => {
  it('lets no key have more than the burst and what came back, and says truly when the next can be had', async () => {
    const requests = fc.array(
      fc.record({ key: fc.constantFrom('a', 'b'), afterMs: fc.nat(400), cost: fc.integer({ min: 1, max: 5 }) }),
    )
    await fc.assert(
      fc.asyncProperty(requests, async (asked) => {
        const clock = new VirtualClock()
        const buckets = new TokenBuckets({ clock, perSecond: 10, burst: 5, kept: 10 })
        const taken: Record<string, number> = { a: 0, b: 0 }
        for (const { key, afterMs, cost } of asked) {
          await clock.advance(afterMs)
          const waitMs = buckets.take(key, cost)
          if (waitMs === 0) taken[key] = (taken[key] ?? 0) + cost
          expect(taken[key]).toBeLessThanOrEqual(5 + (clock.now() / 1_000) * 10 + 1e-6)
          if (waitMs === 0) continue
          await clock.advance(waitMs)
          expect(buckets.take(key, cost)).toBe(0)
          taken[key] = (taken[key] ?? 0) + cost
        }
      }),
      { numRuns: 100 },
    )
  })

  it('remembers so many and forgets the one that asked least lately; what is given back can be taken again', () => {
    const buckets = new TokenBuckets({ clock: new VirtualClock(), perSecond: 1, burst: 1, kept: 2 })
    expect(['a', 'b', 'a'].map((key) => buckets.take(key))).toEqual([0, 0, 1_000])
    expect(buckets.take('c')).toBe(0)
    expect([buckets.take('a'), buckets.take('b')]).toEqual([1_000, 0])
    buckets.giveBack('b')
    expect(buckets.take('b')).toBe(0)
  })
})
