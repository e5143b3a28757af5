import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IdentifyMargin } from '../../../src/manager/identify-margin.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const WINDOW = 5_000
/** Answers that a margin needs before it knows what is usual. */
const ENOUGH = 64

const knowing = (usual: number): IdentifyMargin => {
  const margin = new IdentifyMargin(new VirtualClock())
  for (let i = 0; i < ENOUGH; i++) margin.takenAt(0, usual, WINDOW)
  return margin
}

describe('IdentifyMargin', () => {
  it('is one part in a hundred, doubles with op 9, and never exceeds a tenth', async () => {
    const clock = new VirtualClock()
    const margin = new IdentifyMargin(clock)
    const seen = [margin.of(WINDOW)]
    for (let i = 0; i < 6; i++) {
      margin.tooEarly(WINDOW)
      seen.push(margin.of(WINDOW))
      await clock.advance(WINDOW)
    }
    expect(seen).toEqual([50, 100, 200, 400, 500, 500, 500])
  })

  it('takes the op 9s of one window for one fact', async () => {
    const clock = new VirtualClock()
    const margin = new IdentifyMargin(clock)
    expect([margin.tooEarly(WINDOW), margin.tooEarly(WINDOW)]).toEqual([true, false])
    await clock.advance(WINDOW - 1)
    expect(margin.tooEarly(WINDOW)).toBe(false)
    expect(margin.of(WINDOW)).toBe(100)
  })

  it('lets the window begin later when READY was later than usual by more than the margin', () => {
    const margin = knowing(200)
    expect(margin.takenAt(1_000, 200, WINDOW)).toBe(1_000)
    expect(margin.takenAt(1_000, 250, WINDOW)).toBe(1_000)
    expect(margin.takenAt(1_000, 270, WINDOW)).toBe(1_020)
    expect(margin.takenAt(1_000, 400, WINDOW)).toBe(1_050)
  })

  it('trusts no first answer: when a whole first wave is slow, none of it looks late', () => {
    const margin = new IdentifyMargin(new VirtualClock())
    const moved = Array.from({ length: ENOUGH + 1 }, () => margin.takenAt(0, 300, WINDOW))
    expect(moved).toEqual([...Array(ENOUGH).fill(50), 0])
  })

  it('never lets it begin before IDENTIFY was sent, nor more than a tenth of the window later', () => {
    const milliseconds = fc.double({ min: 0, max: 120_000, noNaN: true })
    fc.assert(
      fc.property(fc.array(milliseconds, { minLength: 1, maxLength: 200 }), (answers) => {
        const margin = new IdentifyMargin(new VirtualClock())
        for (const answeredIn of answers) {
          const later = margin.takenAt(0, answeredIn, WINDOW)
          expect(later).toBeGreaterThanOrEqual(0)
          expect(later + margin.of(WINDOW)).toBeLessThanOrEqual(WINDOW / 10 + 1e-9)
        }
      }),
    )
  })
})
