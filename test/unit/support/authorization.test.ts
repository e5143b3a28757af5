import fc from 'fast-check'
import { expect, test } from 'vitest'
import { authorizationMatches } from '../../../src/support/authorization.ts'

test('property: matches the very key and nothing else', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string(), (key, other) => {
      const matches = authorizationMatches(key)
      expect(matches(key)).toBe(true)
      expect(matches(other)).toBe(other === key)
      expect(matches(undefined)).toBe(false)
      expect(matches(`${key} `)).toBe(false)
      expect(matches('')).toBe(false)
    }),
  )
})
