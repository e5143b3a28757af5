import fc from 'fast-check'
import { expect, test } from 'vitest'
import { INTENT_BITS, INTENT_NAMES, intentsBitField, MAX_INTENTS } from '../../../src/api/intents.ts'

test('names and numbers are combined into one field', () => {
  fc.assert(
    fc.property(
      fc.subarray(INTENT_NAMES, { minLength: 1 }),
      fc.integer({ min: 0, max: MAX_INTENTS }),
      (names, number) => {
        const field = intentsBitField([...names, number, ...names])
        expect(field).toBeGreaterThanOrEqual(0)
        expect(field).toBeLessThanOrEqual(MAX_INTENTS)
        for (let bit = 0; bit < 31; bit++) {
          const set = Math.floor(number / 2 ** bit) % 2 === 1 || names.some((name) => INTENT_BITS[name] === bit)
          expect(Math.floor(field / 2 ** bit) % 2 === 1).toBe(set)
        }
      },
    ),
  )
})

test('known values of the Discord documentation', () => {
  expect(intentsBitField(['Guilds', 'GuildMessages', 'MessageContent'])).toBe(33_281)
})
