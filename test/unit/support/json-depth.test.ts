import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nestsWithin } from '../../../src/support/json-depth.ts'

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

/** Values whose strings and keys are full of what might be taken for structure. */
const odd = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'a', '\u2028', '\n'), maxLength: 8 })
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.oneof(odd, fc.integer(), fc.constant(null), fc.boolean()),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(odd, tie('value'), { maxKeys: 3 }),
  ),
}))

test('is true of just those depths that a value has at least', () => {
  fc.assert(
    fc.property(value, fc.nat({ max: 8 }), fc.constantFrom(undefined, 2), (value, depth, indent) => {
      expect(nestsWithin(JSON.stringify(value, null, indent), depth)).toBe(depthOf(value) <= depth)
    }),
    { numRuns: 500 },
  )
})

test('finds what JSON.parse would recurse into a million times', () => {
  expect(nestsWithin('['.repeat(1_000_000), 32)).toBe(false)
  expect(nestsWithin(`"${'['.repeat(1_000_000)}"`, 32)).toBe(true)
})
