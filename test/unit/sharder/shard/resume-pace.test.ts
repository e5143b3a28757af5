import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isNodeLoss,
  ResumePace,
  RESUME_PACE as RULES,
  resumeAt,
  windowOf,
} from '../../../../sharder/shard/resume-pace.ts'
import { SHARD_TIMINGS } from '../../../../sharder/shard/timings.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const never = new AbortController().signal
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const lost = fc.integer({ min: 1, max: 5_000 })

describe('a mass disconnect', () => {
  it.each([1000, 1001, 1005, 1006, 1011, 1012, 4000])('is %i from the peer', (code) =>
    expect(isNodeLoss({ code, byUs: false, reconnectAsked: false })).toBe(true),
  )

  it.each([4001, 4002, 4003, 4005, 4007, 4008, 4009])('is not %i: that is about one connection', (code) =>
    expect(isNodeLoss({ code, byUs: false, reconnectAsked: false })).toBe(false),
  )

  it('is op 7, and nothing else that this side closed', () => {
    expect(isNodeLoss({ code: 4000, byUs: true, reconnectAsked: true })).toBe(true)
    expect(isNodeLoss({ code: 4000, byUs: true, reconnectAsked: false })).toBe(false)
  })
})

describe('the window', () => {
  it('grows with the number, never beyond its longest, and a few have none', () => {
    fc.assert(
      fc.property(lost, (n) => {
        const window = windowOf(n, RULES)
        expect(window).toBeGreaterThanOrEqual(windowOf(n - 1, RULES))
        expect(window).toBeLessThanOrEqual(RULES.longest)
        expect(window === 0).toBe(n < RULES.few)
      }),
    )
    expect(windowOf(100, RULES)).toBe(2_000)
    expect(RULES.longest).toBeLessThan(SHARD_TIMINGS.sessionLifetime / 4)
  })

  it('holds every shard, and none later than it may be', () => {
    fc.assert(
      fc.property(share, lost, fc.nat(100_000), fc.nat(200_000), (place, n, startedAt, latest) => {
        const at = resumeAt(place, { startedAt, lost: n }, latest, RULES)
        expect(at).toBeLessThanOrEqual(latest)
        expect(at).toBeGreaterThanOrEqual(Math.min(startedAt, latest))
        expect(at).toBeLessThanOrEqual(startedAt + windowOf(n, RULES))
        // Whose session ends sooner is never later for it.
        expect(resumeAt(place, { startedAt, lost: n }, latest - 1, RULES)).toBeLessThanOrEqual(at)
      }),
    )
  })
})

describe('shards that lose their connections', () => {
  /** Loses connections at these moments. @returns how long after its loss each resumed. */
  async function waits(moments: readonly number[], shares: () => number, latest = Number.POSITIVE_INFINITY) {
    const clock = new VirtualClock()
    const pace = new ResumePace(clock, shares)
    const resumed = new Map<number, number>()
    for (const [index, moment] of moments.entries()) {
      await clock.advance(moment - clock.now())
      void pace
        .lost()
        .come(latest, never)
        .then(() => resumed.set(index, clock.now() - moment))
    }
    await clock.advance(60_000)
    expect(resumed.size).toBe(moments.length)
    return [...resumed].sort(([a], [b]) => a - b).map(([, wait]) => wait)
  }

  it('one now and then resumes at once, however long that goes on', async () => {
    const moments = Array.from({ length: 40 }, (_, i) => i * 1_300)
    expect(await waits(moments, () => 0.999)).toEqual(moments.map(() => 0))
  })

  it('together are spread evenly over the window of all of them, though each was told only of those before it', async () => {
    let i = 0
    const n = 250
    // Each place once, in a disorder of its own.
    const places = () => ((i++ * 97) % n) / n
    const all = await waits(
      Array.from({ length: n }, (_, k) => k * 4),
      places,
    )
    const at = all.map((wait, k) => wait + k * 4).sort((a, b) => a - b)
    expect(at.at(-1)).toBeLessThanOrEqual(n * RULES.perShard)
    // As many in each fifth of the window; the first also has the few that went before it was a mass.
    for (const part of [1, 2, 3, 4]) {
      const inPart = at.filter((moment) => Math.floor((5 * moment) / (n * RULES.perShard)) === part).length
      expect(inPart).toBeGreaterThan(n / 5 - 10)
      expect(inPart).toBeLessThan(n / 5 + 10)
    }
  })

  it('wait no longer than their session allows', async () => {
    const all = await waits(
      Array.from({ length: 500 }, () => 0),
      () => 0.9,
      700,
    )
    expect(Math.max(...all)).toBe(700)
  })

  it('are let go when they are released', async () => {
    const clock = new VirtualClock()
    const pace = new ResumePace(clock, () => 0.9)
    const released = new AbortController()
    const turns = Array.from({ length: 100 }, () => pace.lost())
    let done = 0
    for (const turn of turns) void turn.come(Number.POSITIVE_INFINITY, released.signal).then(() => done++)
    await clock.advance(100)
    expect(done).toBe(0)
    released.abort()
    await clock.advance(0)
    expect([done, clock.pending]).toEqual([100, 0])
  })
})
