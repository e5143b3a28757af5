import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { type ElectionEnd, elect } from '../../../operator/kube/leader.ts'
import { microTime } from '../../../operator/kube/lease.ts'
import type { Clock } from '../../../src/support/clock.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { FakeLeases } from './fake-leases.ts'

const MINUTES_SINCE_2020 = (Date.UTC(2026, 0, 1) - Date.UTC(2020, 0, 1)) / 60_000

interface Tally {
  readonly terms: number[]
  working: number
  most: number
}

/** A world with one Lease; `tally` watches how many candidates work at once. */
function world() {
  return { clock: new VirtualClock(), leases: new FakeLeases(), tally: { terms: [], working: 0, most: 0 } as Tally }
}

function candidate(
  { clock: common, leases, tally }: ReturnType<typeof world>,
  identity: string,
  windDownMs = 0,
  skewMs = 0,
) {
  // A machine whose wall clock is wrong; time passes as fast as elsewhere.
  const clock: Clock = {
    now: () => common.now(),
    date: () => new Date(common.date().getTime() + skewMs),
    after: (milliseconds, action) => common.after(milliseconds, action),
  }
  const { api, network } = leases.reachedBy()
  const stop = new AbortController()
  const state = { identity, network, stop, leading: false, end: undefined as ElectionEnd | undefined, abortedAt: -1 }
  const finished = elect(
    {
      leases: api,
      identity,
      namespace: 'ns',
      name: 'operator',
      clock,
      random: () => 0.5,
      logger: pino({ level: 'silent' }),
      onStartedLeading: async (term, signal) => {
        tally.terms.push(term)
        tally.working += 1
        tally.most = Math.max(tally.most, tally.working)
        state.leading = true
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        state.abortedAt = clock.now()
        if (windDownMs > 0) await new Promise<void>((resolve) => void clock.after(windDownMs, resolve))
        tally.working -= 1
        state.leading = false
      },
      onStoppedLeading: (why) => {
        state.end = why
      },
    },
    stop.signal,
  )
  return Object.assign(state, { finished })
}

describe('elect', () => {
  it('makes exactly one of three candidates lead, and starts terms at the minutes since 2020', async () => {
    const here = world()
    const all = ['a', 'b', 'c'].map((identity) => candidate(here, identity))
    await here.clock.advance(60_000)
    expect(all.filter(({ leading }) => leading)).toHaveLength(1)
    expect(here.tally).toMatchObject({ terms: [MINUTES_SINCE_2020], most: 1 })
  })

  it('hands over within two tries when the leader is stopped, with the next term', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(1)
    const b = candidate(here, 'b')
    await here.clock.advance(30_000)
    a.stop.abort()
    await here.clock.advance(1)
    expect(await a.finished).toBe('stopped')
    expect(here.leases.current?.spec.holderIdentity).toBeUndefined()
    await here.clock.advance(4_000)
    expect(b.leading).toBe(true)
    expect(here.tally).toMatchObject({ terms: [MINUTES_SINCE_2020, MINUTES_SINCE_2020 + 1], most: 1 })
  })

  it('keeps the lease while stopped work winds down, so that nobody starts before it ended', async () => {
    const here = world()
    const a = candidate(here, 'a', 40_000)
    await here.clock.advance(1)
    const b = candidate(here, 'b')
    await here.clock.advance(10_000)
    a.stop.abort()
    await here.clock.advance(39_000)
    expect(b.leading).toBe(false)
    await here.clock.advance(6_000)
    expect(b.leading).toBe(true)
    expect(here.tally.most).toBe(1)
  })

  it.each(['black-hole', 'refused'] as const)(
    'stops the work 10 s after the last renewal when the API server is gone (%s), before another may lead',
    async (fault) => {
      const here = world()
      const a = candidate(here, 'a')
      await here.clock.advance(1)
      const b = candidate(here, 'b')
      await here.clock.advance(20_500)
      const renewedAt = 20_000
      a.network.state = fault
      await here.clock.advance(60_000)
      expect(a.end).toBe('lost')
      expect(a.abortedAt).toBeLessThanOrEqual(renewedAt + 10_000)
      expect(await a.finished).toBe('lost')
      expect(b.leading).toBe(true)
      expect(here.tally.most).toBe(1)
    },
  )

  it('reports the loss even when the work ignores its signal', async () => {
    const here = world()
    const a = candidate(here, 'a', 1e9)
    await here.clock.advance(1)
    a.network.state = 'black-hole'
    await here.clock.advance(15_000)
    expect(a.end).toBe('lost')
  })

  it('survives a black hole that is shorter than the renewal time', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(20_001)
    a.network.state = 'refused'
    await here.clock.advance(7_000)
    a.network.state = 'up'
    await here.clock.advance(30_000)
    expect(a.leading).toBe(true)
    expect(here.tally.terms).toHaveLength(1)
  })

  it('judges expiry by what it sees change, not by the clock of another machine', async () => {
    const here = world()
    candidate(here, 'a')
    await here.clock.advance(1)
    const b = candidate(here, 'b')
    // All times written from now on are far in the past for whoever would compare them.
    here.clock.setWall(Date.UTC(2021, 5, 1))
    await here.clock.advance(60_000)
    here.clock.setWall(Date.UTC(2031, 5, 1))
    await here.clock.advance(60_000)
    expect(b.leading).toBe(false)
    expect(here.tally).toMatchObject({ most: 1, terms: [MINUTES_SINCE_2020] })
  })

  it.each([
    ['ahead', 3 * 3_600_000],
    ['behind', -3 * 3_600_000],
  ])(
    'a follower whose clock is three hours %s waits as long as any other, and its own lease lasts',
    async (_, skewMs) => {
      const here = world()
      const a = candidate(here, 'a')
      await here.clock.advance(1)
      const skewed = candidate(here, 'skewed', 0, skewMs)
      await here.clock.advance(120_000)
      expect([a.leading, skewed.leading]).toEqual([true, false])
      a.network.state = 'black-hole'
      await here.clock.advance(12_000)
      expect([a.leading, skewed.leading]).toEqual([false, false])
      await here.clock.advance(8_000)
      expect(skewed.leading).toBe(true)
      const c = candidate(here, 'c')
      await here.clock.advance(120_000)
      expect([skewed.leading, c.leading]).toEqual([true, false])
      expect(here.tally).toEqual({ terms: [MINUTES_SINCE_2020, MINUTES_SINCE_2020 + 1], working: 1, most: 1 })
    },
  )

  it('says that the lease is not held any more as soon as time has passed, before any timer could', async () => {
    const { leases, clock } = world()
    let asleepMs = 0
    const suspended: Clock = {
      now: () => clock.now() + asleepMs,
      date: () => clock.date(),
      after: (milliseconds, action) => clock.after(milliseconds, action),
    }
    const work = Promise.withResolvers<{ held: () => boolean; signal: AbortSignal }>()
    const stop = new AbortController()
    const finished = elect(
      {
        ...{ leases: leases.reachedBy().api, identity: 'a', namespace: 'ns', name: 'operator', clock: suspended },
        random: () => 0.5,
        logger: pino({ level: 'silent' }),
        onStartedLeading: async (_term, signal, held) => {
          work.resolve({ held, signal })
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        },
        onStoppedLeading: () => undefined,
      },
      stop.signal,
    )
    await clock.advance(20_000)
    const { held, signal } = await work.promise
    expect(held()).toBe(true)
    asleepMs = 9_000
    expect(held()).toBe(true)
    asleepMs = 10_001
    expect([held(), signal.aborted]).toEqual([false, false])
    asleepMs = 0
    stop.abort()
    await clock.advance(1)
    expect(await finished).toBe('stopped')
  })

  it('waits a whole lease before it takes one whose holder vanished', async () => {
    const here = world()
    here.leases.current = {
      metadata: { namespace: 'ns', name: 'operator', uid: 'u', resourceVersion: '' },
      spec: {
        holderIdentity: 'dead',
        leaseDurationSeconds: 15,
        leaseTransitions: 7,
        renewTime: '2020-01-01T00:00:00Z',
      },
    }
    const b = candidate(here, 'b')
    await here.clock.advance(14_999)
    expect(b.leading).toBe(false)
    await here.clock.advance(5_000)
    expect(here.tally.terms).toEqual([8])
  })

  it('gives a new term to the same identity: a restarted process is another leader', async () => {
    const here = world()
    const first = candidate(here, 'a')
    await here.clock.advance(1)
    first.network.state = 'black-hole'
    await here.clock.advance(20_000)
    candidate(here, 'a')
    await here.clock.advance(5_000)
    expect(here.tally.terms).toEqual([MINUTES_SINCE_2020, MINUTES_SINCE_2020 + 1])
  })

  it('keeps leading under its own term when somebody deletes the Lease', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(20_000)
    here.leases.current = undefined
    await here.clock.advance(2_000)
    expect(here.leases.current).toMatchObject({ spec: { holderIdentity: 'a', leaseTransitions: MINUTES_SINCE_2020 } })
    expect(a.leading).toBe(true)
  })

  it('never gives a lower term after the Lease was deleted with its leader', async () => {
    const here = world()
    for (let round = 0; round < 3; round += 1) {
      const leader = candidate(here, `leader ${round}`)
      await here.clock.advance(30_000)
      leader.stop.abort()
      await here.clock.advance(30_000)
      here.leases.current = undefined
    }
    const [first = 0, second = 0, third = 0] = here.tally.terms
    expect(second).toBeGreaterThan(first)
    expect(third).toBeGreaterThan(second)
  })

  it('stops at once when another holds the lease, whatever its own deadline says', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(20_001)
    const { current } = here.leases
    if (!current) throw new Error('no lease')
    here.leases.current = { ...current, spec: { ...current.spec, holderIdentity: 'thief', leaseTransitions: 9e6 } }
    await here.clock.advance(2_001)
    expect(a.end).toBe('lost')
    expect(here.leases.current?.spec.holderIdentity).toBe('thief')
  })

  it('renews through lost answers and edits of the Lease by others', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(20_001)
    a.network.state = 'answers lost'
    await here.clock.advance(5_000)
    a.network.state = 'up'
    await here.clock.advance(2_000)
    const { current } = here.leases
    if (!current) throw new Error('no lease')
    here.leases.current = { ...current, metadata: { ...current.metadata, labels: { edited: 'yes' } } }
    await here.clock.advance(60_000)
    expect(a.leading).toBe(true)
    expect(here.leases.current?.metadata.labels).toEqual({ edited: 'yes' })
  })

  it('passes on what the work threw and releases the lease', async () => {
    const { clock, leases } = world()
    const { api } = leases.reachedBy()
    const failed = elect(
      {
        leases: api,
        identity: 'a',
        namespace: 'ns',
        name: 'operator',
        clock,
        random: () => 0,
        logger: pino({ level: 'silent' }),
        onStartedLeading: async () => {
          throw new Error('no good')
        },
        onStoppedLeading: () => undefined,
      },
      new AbortController().signal,
    )
    await expect(failed).rejects.toThrow('no good')
    expect(leases.current?.spec.holderIdentity).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  it('leaves no timer behind', async () => {
    const here = world()
    const a = candidate(here, 'a')
    await here.clock.advance(30_000)
    a.stop.abort()
    await here.clock.advance(1)
    await a.finished
    expect(here.clock.pending).toBe(0)
  })
})

describe('elect under random faults', () => {
  const faults = fc.array(
    fc.record({
      who: fc.nat(2),
      fault: fc.constantFrom('up' as const, 'black-hole' as const, 'refused' as const, 'answers lost' as const),
      stop: fc.integer({ min: 0, max: 9 }),
      forMs: fc.integer({ min: 1, max: 30_000 }),
    }),
    { maxLength: 25 },
  )

  it('never has two work at once, gives every leader a higher term, and elects one once the faults are over', async () => {
    await fc.assert(
      fc.asyncProperty(faults, async (schedule) => {
        const here = world()
        let made = 0
        const join = () => candidate(here, `candidate ${made++}`)
        const all = [join(), join(), join()]
        for (const { who, fault, stop, forMs } of schedule) {
          const chosen = all[who]
          if (!chosen) continue
          chosen.network.state = fault
          if (stop === 0) chosen.stop.abort()
          await here.clock.advance(forMs)
          // What ended comes back as a new process.
          if (chosen.end !== undefined || chosen.stop.signal.aborted) all[who] = join()
        }
        expect(here.tally.most).toBeLessThanOrEqual(1)
        for (const { network } of all) network.state = 'up'
        await here.clock.advance(60_000)
        all.push(join())
        await here.clock.advance(60_000)
        expect(here.tally.most).toBe(1)
        expect(here.tally.working).toBe(1)
        expect(here.tally.terms).toEqual([...new Set(here.tally.terms)].sort((one, other) => one - other))
      }),
      { numRuns: 60 },
    )
  })
})

describe('microTime', () => {
  it('has six digits: the API server refuses three', () => {
    expect(microTime(new Date('2026-01-02T03:04:05.678Z'))).toBe('2026-01-02T03:04:05.678000Z')
  })
})
