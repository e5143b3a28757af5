import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSilent, longestUsual, type Rhythm, SILENCE_RULES as RULES } from '../../../../sharder/shard/silence.ts'
import { SilenceWatch, type WatchedShard } from '../../../../sharder/shard/silence-watch.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A shard that is listened to, and what becomes of it. */
class Shard implements WatchedShard {
  readonly id: number
  listening = true
  previousSequenceNumber = 1
  liveSequence = 1
  readyAt = Number.NEGATIVE_INFINITY
  readonly left: number[] = []
  now = 0

  constructor(id: number) {
    this.id = id
  }

  leave(): void {
    this.left.push(this.now)
    // RESUMED is no traffic.
    this.liveSequence = ++this.previousSequenceNumber
  }
}

/** Looks every `step` ms; `event` says whether the shard had one since the look before. @returns the shards. */
function watched(
  count: number,
  duration: number,
  event: (shard: number, now: number) => boolean,
  { step = 1_000, change = (_shards: Shard[], _now: number) => {} } = {},
): Shard[] {
  const shards = Array.from({ length: count }, (_, id) => new Shard(id))
  const map = new Map(shards.map((shard) => [shard.id, shard]))
  const watch = new SilenceWatch()
  for (let now = 0; now <= duration; now += step) {
    for (const shard of shards) {
      shard.now = now
      if (shard.listening && event(shard.id, now)) shard.previousSequenceNumber++
    }
    change(shards, now)
    watch.look(map, now)
  }
  return shards
}

const none = (shards: Shard[]) => expect(shards.flatMap(({ left }) => left)).toEqual([])

describe('the rule', () => {
  const rhythm: fc.Arbitrary<Rhythm> = fc.record({
    since: fc.constant(0),
    active: fc.nat(100_000),
    lastAt: fc.nat(24 * HOUR),
    longest: fc.nat(HOUR),
    kicks: fc.nat(40),
    kickedAt: fc.nat(24 * HOUR),
  })
  const siblings = fc
    .record({ connected: fc.nat(500), share: fc.double({ min: 0, max: 1, noNaN: true }) })
    .map(({ connected, share }) => ({ connected, lively: Math.floor(connected * share) }))

  it('leaves alone what is usual, what has few siblings or quiet ones, and what was kicked just now', () => {
    fc.assert(
      fc.property(rhythm, siblings, fc.nat(48 * HOUR), (each, others, later) => {
        const now = Math.max(each.lastAt, each.kickedAt) + later
        if (!isSilent(each, others, now, RULES)) return
        const pause = now - each.lastAt
        expect(pause).toBeGreaterThan(RULES.least)
        expect(pause).toBeGreaterThan((30 * now) / each.active)
        expect(pause).toBeGreaterThan(2 * each.longest)
        expect(others.lively).toBeGreaterThan(others.connected / 2)
        expect(others.connected).toBeGreaterThanOrEqual(RULES.fewestSiblings)
        if (each.kicks > 0) expect(now - each.kickedAt).toBeGreaterThanOrEqual(RULES.again)
      }),
      { numRuns: 2_000 },
    )
  })

  it('finds a busy shard that fell silent, and gives one that never had an event for ever', () => {
    const busy = { since: 0, active: 3_000, lastAt: HOUR, longest: 20_000, kicks: 0, kickedAt: 0 }
    const lively = { connected: 10, lively: 6 }
    expect(isSilent(busy, lively, HOUR + RULES.least, RULES)).toBe(false)
    expect(isSilent(busy, lively, HOUR + RULES.least + 1, RULES)).toBe(true)
    expect(isSilent(busy, { connected: 10, lively: 5 }, HOUR + RULES.least + 1, RULES)).toBe(false)
    expect(longestUsual({ ...busy, active: 0 }, 100 * HOUR, RULES)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a thread', () => {
  it('leaves a forgotten shard within minutes, and after that less and less often', () => {
    const [forgotten, ...others] = watched(10, 12 * HOUR, (id, now) => id !== 0 || now < HOUR, { step: 5_000 })
    none(others)
    const gaps = forgotten?.left.map((at, i) => at - (i === 0 ? HOUR : (forgotten.left[i - 1] ?? 0))) ?? []
    expect(gaps[0]).toBeLessThanOrEqual(RULES.least + 10_000)
    expect(gaps.length).toBeGreaterThanOrEqual(3)
    for (const [i, gap] of gaps.slice(1).entries()) expect(gap).toBeGreaterThanOrEqual(RULES.again * 2 ** i)
  })

  it('of a quiet bot is left alone, however its events fall', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 20, max: 2_000 }),
        fc.nat(),
        (count, mean, salt) => {
          // One event a look in `mean`, at random: of looks of 5 s that is one in 100 s to 3 h.
          const random = scattered(salt)
          none(watched(count, 24 * HOUR, () => random() < 1 / mean, { step: 5_000 }))
        },
      ),
      { numRuns: 30 },
    )
  })

  it('that falls quiet as a whole for the night is left alone', () => {
    const day = (now: number) => now % (24 * HOUR) < 14 * HOUR
    none(watched(12, 72 * HOUR, (_, now) => day(now), { step: 5_000 }))
  })

  it('whose shards reconnect while nothing happens is left alone: neither RESUMED nor new guilds are traffic', () => {
    const quietSince = HOUR
    const shards = watched(8, 3 * HOUR, (_, now) => now < quietSince, {
      change(all, now) {
        if (now % (7 * MINUTE) !== 0) return
        for (const shard of all.slice(1, 5)) shard.liveSequence = ++shard.previousSequenceNumber
        for (const shard of all.slice(5)) {
          shard.readyAt = now
          shard.previousSequenceNumber = 50 + (now % 1_000)
        }
      },
    })
    none(shards)
  })

  it('does not take a pause of its sinks for a silence', () => {
    const paused = (now: number) => now > HOUR && now < 2 * HOUR
    const shards = watched(
      6,
      3 * HOUR,
      (id, now) => !paused(now) && (id > 0 || now < HOUR || now > 2 * HOUR + 4 * MINUTE),
      {
        change(all, now) {
          for (const shard of all) shard.listening = !paused(now)
        },
      },
    )
    none(shards)
  })

  it('learns how long a shard pauses by itself', () => {
    // It rests for 8 minutes once an hour, and its siblings never do: the first such rest may be taken for a silence.
    const [resting] = watched(6, 12 * HOUR, (id, now) => id > 0 || now % HOUR > 8 * MINUTE)
    expect(resting?.left.length).toBeLessThanOrEqual(2)
  })
})

/** Numbers in [0, 1) that are the same for the same salt. */
function scattered(salt: number): () => number {
  let state = salt >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
