import { describe, expect, it } from 'vitest'
import { REFLECTOR_BACKOFF, ResettingBackoff } from '../../../operator/kube/backoff.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

describe('ResettingBackoff', () => {
  it('doubles from 0.8 s to 30 s', async () => {
    const clock = new VirtualClock()
    const backoff = new ResettingBackoff(REFLECTOR_BACKOFF, clock, () => 0)
    const delays: number[] = []
    for (let failure = 0; failure < 8; failure += 1) {
      const delay = backoff.next()
      delays.push(delay)
      await clock.advance(delay)
    }
    expect(delays).toEqual([800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000])
  })

  it('stretches a delay by up to its own length', () => {
    const backoff = new ResettingBackoff(REFLECTOR_BACKOFF, new VirtualClock(), () => 0.999)
    expect(backoff.next()).toBeCloseTo(1_599.2)
  })

  it('starts over only after two quiet minutes, not after one success', async () => {
    const clock = new VirtualClock()
    const backoff = new ResettingBackoff(REFLECTOR_BACKOFF, clock, () => 0)
    backoff.next()
    await clock.advance(800 + 119_000)
    expect(backoff.next()).toBe(1_600)
    await clock.advance(1_600 + 121_000)
    expect(backoff.next()).toBe(800)
  })
})
