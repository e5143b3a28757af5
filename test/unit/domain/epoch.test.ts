import fc from 'fast-check'
import { expect, test } from 'vitest'
import { epochOf, termOf } from '../../../src/domain/epoch.ts'

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
