import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BREAKER_WINDOW_MS, MOST_IDENTIFIES, openUntil, stillCounted } from '../../../src/domain/circuit-breaker.ts'

/** Milliseconds between two moments at which a shard would identify. */
const pauses = fc.array(fc.integer({ min: 0, max: BREAKER_WINDOW_MS / 2 }), { maxLength: 60 })

/** Identifies whenever it wants to and may, waiting out what holds it back. */
function identifies(wanted: readonly number[]): number[] {
  const times: number[] = []
  let now = 0
  for (const pause of wanted) {
    now += pause
    now = Math.max(now, openUntil(times, now) ?? now)
    times.push(now)
  }
  return times
}

describe('the circuit breaker of a shard', () => {
  test('lets it identify a certain number of times within the window, whenever it likes, and never once more', () => {
    fc.assert(
      fc.property(pauses, (wanted) => {
        const times = identifies(wanted)
        for (const [index, time] of times.entries()) {
          const after = times[index + MOST_IDENTIFIES]
          if (after !== undefined) expect(after - time).toBeGreaterThanOrEqual(BREAKER_WINDOW_MS)
        }
      }),
    )
  })

  test('never holds back one that did not', () => {
    fc.assert(
      fc.property(pauses, fc.nat(), (wanted, later) => {
        const times = identifies(wanted)
        const now = (times.at(-1) ?? 0) + later
        const lately = times.filter((time) => now - time < BREAKER_WINDOW_MS)
        expect(stillCounted(times, now)).toEqual(lately)
        expect(openUntil(times, now) === undefined).toBe(lately.length < MOST_IDENTIFIES)
      }),
    )
  })

  test('closes by itself, at the moment it says', () => {
    fc.assert(
      fc.property(pauses, (wanted) => {
        const times = identifies(wanted)
        const now = times.at(-1) ?? 0
        const until = openUntil(times, now)
        if (until === undefined) return
        expect(until).toBeGreaterThan(now)
        expect(openUntil(times, until - 1)).toBe(until)
        expect(openUntil(times, until)).toBeUndefined()
      }),
    )
    const now = MOST_IDENTIFIES - 1
    expect(openUntil([...Array(MOST_IDENTIFIES).keys()], now)).toBe(BREAKER_WINDOW_MS)
  })
})
