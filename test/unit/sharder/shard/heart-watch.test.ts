import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeartWatch, looksOf } from '../../../../sharder/shard/heart-watch.ts'

const EVERY = 1_000
/** Discord's is 41,250 ms. */
const interval = fc.integer({ min: 10_000, max: 120_000 })

/** Looks once a second; `read` and `beat` say whether there was one in the second before. */
function firstFault(intervalMs: number, seconds: number, read: (s: number) => boolean, beat: (s: number) => boolean) {
  const watch = new HeartWatch()
  for (let s = 1; s <= seconds; s++) {
    if (read(s)) watch.heard()
    if (beat(s)) watch.beaten()
    const fault = watch.look(intervalMs, EVERY)
    if (fault) return { fault, second: s }
  }
  return undefined
}

const always = () => true

describe('a peer that has gone', () => {
  it('is noticed within two intervals, whenever it goes', () => {
    fc.assert(
      fc.property(interval, fc.nat(500), fc.nat(EVERY - 1), (intervalMs, last, before) => {
        const found = firstFault(intervalMs, last + 1_000, (s) => s <= last, always)
        expect(found?.fault).toBe('unheard')
        // The last packet came up to a second before the look that saw it.
        const silentMs = ((found?.second ?? 0) - last) * EVERY + before
        expect(silentMs).toBeLessThanOrEqual(2 * intervalMs)
        expect(silentMs).toBeGreaterThanOrEqual(1.5 * intervalMs)
      }),
    )
  })

  it('is not one that says only what it must', () => {
    fc.assert(
      fc.property(interval, fc.nat(), (intervalMs, phase) => {
        const beats = new Set<number>()
        const answers = new Set<number>()
        for (let i = 1; i * intervalMs < 2_000 * EVERY; i++) {
          const second = Math.ceil((i * intervalMs) / EVERY)
          beats.add(second)
          // Each answer is up to two seconds late.
          answers.add(second + ((i * phase) % 3))
        }
        const [read, beat] = [(s: number) => answers.has(s), (s: number) => beats.has(s)]
        expect(firstFault(intervalMs, 1_800, read, beat)).toBeUndefined()
      }),
    )
  })
})

describe('a heart', () => {
  it('that does not beat is noticed within two intervals, though events flow', () => {
    fc.assert(
      fc.property(interval, fc.nat(500), (intervalMs, last) => {
        const found = firstFault(intervalMs, last + 1_000, always, (s) => s <= last)
        expect(found?.fault).toBe('beatless')
        expect(((found?.second ?? 0) - last) * EVERY).toBeLessThanOrEqual(2 * intervalMs)
      }),
    )
  })

  it('has as long again after a new start', () => {
    const watch = new HeartWatch()
    const most = looksOf(41_250, EVERY)
    for (let i = 1; i < most; i++) expect(watch.look(41_250, EVERY)).toBeUndefined()
    watch.restart()
    for (let i = 1; i < most; i++) expect(watch.look(41_250, EVERY)).toBeUndefined()
    expect(watch.look(41_250, EVERY)).toBe('unheard')
  })
})
