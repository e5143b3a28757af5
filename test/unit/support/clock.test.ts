import { expect, test } from 'vitest'
import { timeText } from '../../../src/support/clock.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

test.each([
  [1_500, '2026-01-01T00:00:01Z'],
  [1e300, '9999-12-31T23:59:59Z'],
  [8.64e15, '9999-12-31T23:59:59Z'],
  [Number.POSITIVE_INFINITY, '9999-12-31T23:59:59Z'],
  [Number.NaN, '9999-12-31T23:59:59Z'],
  [-1e300, '1970-01-01T00:00:00Z'],
])('%d ms from now are shown as the API server takes it', (at, shown) => {
  expect(timeText(new VirtualClock(), at)).toBe(shown)
})
