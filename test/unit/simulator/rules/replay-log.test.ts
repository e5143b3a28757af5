import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ReplayLog } from '../../../../src/simulator/rules/index.ts'

test('property: keeps exactly the last `capacity` dispatches, each under its own sequence', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 0, max: 300 }), (capacity, appends) => {
      const log = new ReplayLog(capacity)
      for (let i = 1; i <= appends; i += 1) expect(log.append(i * 2, i * 3, i * 5)).toBe(i)
      expect(log.last).toBe(appends)
      expect(log.last - log.first + 1).toBe(Math.min(capacity, appends))
      for (let s = log.first; s <= log.last; s += 1) expect(log.at(s)).toEqual({ kind: s * 2, n: s * 3, at: s * 5 })
      expect(() => log.at(log.first - 1)).toThrow(RangeError)
      expect(() => log.at(log.last + 1)).toThrow(RangeError)
    }),
  )
})
