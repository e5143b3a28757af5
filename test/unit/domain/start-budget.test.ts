import fc from 'fast-check'
import { expect, test } from 'vitest'
import { left, observeBudget, spend, spendable } from '../../../src/domain/start-budget.ts'

const limit = { total: 1_000, remaining: 500, resetAfter: 60_000, maxConcurrency: 16 }

test('what was spent while the question was under way is subtracted, whether or not Discord counted it', () => {
  expect(left(observeBudget(limit, 0, 7))).toBe(493)
  expect(observeBudget(limit, 1_000, 0).resetAt).toBe(61_000)
})

test('never more than Discord said, never negative, whatever is spent', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(80), fc.nat(60), fc.nat(60), (remaining, spends, reserve, granted) => {
      let budget = observeBudget({ ...limit, remaining }, 0, 0)
      for (let i = 0; i < spends; i++) budget = spend(budget)
      expect(left(budget)).toBe(Math.max(0, remaining - spends))
      const free = spendable(budget, reserve, granted)
      expect(free).toBeGreaterThanOrEqual(0)
      if (free > 0) expect(remaining - spends - granted - free).toBe(reserve)
    }),
  )
})

test('an unknown budget is an empty one', () => {
  expect(spendable(undefined, 0, 0)).toBe(0)
})
