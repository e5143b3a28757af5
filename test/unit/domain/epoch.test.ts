import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LeaseHolder } from '../../../operator/kube/lease-holder.ts'
import { epochOf, firstTermAt, plausibleEpoch, termOf } from '../../../src/domain/epoch.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { FakeLeases } from '../kube/fake-leases.ts'

const term = fc.integer({ min: 0, max: 89_999_999 })
const counter = fc.integer({ min: 0, max: 99_999_999 })

test('any command of a later leader is newer than any of an earlier one, and exact', () => {
  fc.assert(
    fc.property(term, counter, counter, (term, a, b) => {
      expect(epochOf(term + 1, a)).toBeGreaterThan(epochOf(term, b))
      expect(Number.isSafeInteger(epochOf(term, a))).toBe(true)
      expect(termOf(epochOf(term, a))).toBe(term)
      if (a < b) expect(epochOf(term, a)).toBeLessThan(epochOf(term, b))
    }),
  )
})

describe('whether a leader may have sent an epoch by now', () => {
  const DAY_MS = 86_400_000
  const now = fc.date({ min: new Date('2020-01-01'), max: new Date('2150-01-01'), noInvalidDate: true })
  const skewMs = fc.integer({ min: -DAY_MS, max: DAY_MS })

  test('holds of every leader of a Lease that was made at any time before, by a clock wrong by a day, seen by such a one', () => {
    fc.assert(
      fc.property(
        now,
        fc.nat({ max: 20 * 365 * 1_440 }),
        skewMs,
        skewMs,
        counter,
        (now, minutesAgo, theirs, ours, n) => {
          const made = now.getTime() - minutesAgo * 60_000
          // One leader a minute since then, and another 7,200.
          const term = firstTermAt(new Date(made + theirs)) + minutesAgo + 7_200
          fc.pre(term >= 0)
          expect(plausibleEpoch(epochOf(term, n), new Date(now.getTime() + ours))).toBe(true)
        },
      ),
    )
  })

  test('holds of the first leader after the Lease was deleted, whatever came before', () => {
    fc.assert(
      fc.property(now, skewMs, counter, (now, skew, n) => {
        const term = Math.max(0, firstTermAt(new Date(now.getTime() + skew)))
        expect(plausibleEpoch(epochOf(term, n), now)).toBe(true)
      }),
    )
  })

  test('holds of what a real election gives the first leader of a Lease', async () => {
    const clock = new VirtualClock(Date.UTC(2031, 3, 4, 5, 6, 7))
    const { api: leases } = new FakeLeases().reachedBy()
    const holder = new LeaseHolder(
      { leases, identity: 'a', namespace: 'ns', name: 'lease', clock },
      { leaseMs: 15_000, renewMs: 10_000 },
    )
    const term = await holder.tryAcquire(new AbortController().signal)
    expect(term).toBe(firstTermAt(clock.date()))
    expect(plausibleEpoch(epochOf(term as number, 1), clock.date())).toBe(true)
  })

  test('does not hold of what would lock leaders out for long', () => {
    fc.assert(
      fc.property(now, fc.integer({ min: 7 * 1_440 + 1, max: 20_000_000 }), counter, (now, ahead, n) => {
        expect(plausibleEpoch(epochOf(firstTermAt(now) + ahead, n), now)).toBe(false)
        // When that time has come, it does.
        expect(plausibleEpoch(epochOf(firstTermAt(now) + ahead, n), new Date(now.getTime() + ahead * 60_000))).toBe(
          true,
        )
      }),
    )
    expect(plausibleEpoch(Number.MAX_SAFE_INTEGER, new Date('2026-11-28'))).toBe(false)
    expect(plausibleEpoch(Number.MAX_SAFE_INTEGER, new Date('2150-01-01'))).toBe(false)
  })

  test('holds of everything by a clock that was never set', () => {
    expect(plausibleEpoch(epochOf(4_000_000, 1), new Date(0))).toBe(true)
  })
})
