import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventAggregator, type EventIdentity } from '../../../operator/kube/event-aggregator.ts'

const event = (note: string, uid = 'uid-1'): EventIdentity => ({
  regardingUid: uid,
  type: 'Normal',
  reason: 'Scaled',
  action: 'Scale',
  note,
})

describe('EventAggregator', () => {
  it('turns repeats within ten minutes into a series and starts a new event after a quiet time', () => {
    const aggregator = new EventAggregator()
    expect(aggregator.observe(event('x'), 0).kind).toBe('create')
    expect(aggregator.observe(event('x'), 599_000)).toMatchObject({ kind: 'series', count: 2 })
    expect(aggregator.observe(event('x'), 1_198_000)).toMatchObject({ kind: 'series', count: 3 })
    expect(aggregator.observe(event('x'), 1_798_001).kind).toBe('create')
  })

  it('lets 25 events of an object through, then one per 300 s, and still tells the whole count', () => {
    const aggregator = new EventAggregator()
    const kinds = Array.from({ length: 40 }, (_, at) => aggregator.observe(event('x'), at).kind)
    expect(kinds.filter((kind) => kind !== 'suppress')).toHaveLength(25)
    expect(aggregator.observe(event('x'), 299_000).kind).toBe('suppress')
    expect(aggregator.observe(event('x'), 301_000)).toMatchObject({ kind: 'series', count: 42 })
    expect(aggregator.observe(event('x'), 302_000).kind).toBe('suppress')
    expect(aggregator.observe(event('x', 'uid-2'), 302_000).kind).toBe('create')
  })

  it('creates, not counts, when the first of a kind was suppressed', () => {
    const aggregator = new EventAggregator()
    for (let at = 0; at < 25; at += 1) aggregator.observe(event(`note ${at}`), at)
    expect(aggregator.observe(event('late'), 30).kind).toBe('suppress')
    expect(aggregator.observe(event('late'), 300_030).kind).toBe('create')
  })

  it('never writes more than the burst plus one per 300 s for one object', () => {
    const arrivals = fc.array(fc.record({ gap: fc.nat(60_000), note: fc.nat(5) }), { maxLength: 200 })
    fc.assert(
      fc.property(arrivals, (list) => {
        const aggregator = new EventAggregator()
        let now = 0
        let writes = 0
        for (const { gap, note } of list) {
          now += gap
          if (aggregator.observe(event(`${note}`), now).kind !== 'suppress') writes += 1
        }
        expect(writes).toBeLessThanOrEqual(25 + now / 300_000)
      }),
    )
  })

  it('forgets the oldest when it remembers too much', () => {
    const aggregator = new EventAggregator({ windowMs: 1e9, burst: 25, refillMs: 1, remembered: 2 })
    aggregator.observe(event('a', 'u1'), 0)
    aggregator.observe(event('b', 'u2'), 1)
    aggregator.observe(event('c', 'u3'), 2)
    expect(aggregator.observe(event('b', 'u2'), 3).kind).toBe('series')
    expect(aggregator.observe(event('a', 'u1'), 4).kind).toBe('create')
  })
})
