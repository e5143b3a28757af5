import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeliveryLedger } from '../../../src/local/delivery-ledger.ts'

/** A ledger, and what is delivered to it at which time. */
function book() {
  const time = { now: 0 }
  const ledger = new DeliveryLedger(() => time.now)
  const add = (...sequences: number[]) => {
    for (const sequence of sequences) ledger.add({ shardId: 3, type: 'MESSAGE_CREATE', sequence })
  }
  const ready = (sessionId: string, sequence = 1) => ledger.add({ shardId: 3, type: 'READY', sequence, sessionId })
  return { time, ledger, add, ready, shard: () => ledger.stats().shards['3'] }
}

describe('the delivery ledger', () => {
  it('finds nothing to say about sequences in a row', () => {
    const { add, ready, shard } = book()
    ready('a')
    add(2, 3, 4)
    expect(shard()).toMatchObject({ events: 4, duplicates: 0, gaps: 0, lost: 0, sessions: 1, sequence: 4 })
  })

  it('counts what comes twice, READY too', () => {
    const { add, ready, shard } = book()
    ready('a')
    add(2, 3)
    ready('a')
    add(2, 3, 4)
    expect(shard()).toMatchObject({ events: 7, duplicates: 3, lost: 0, sessions: 1, sequence: 4 })
  })

  it('calls lost what was jumped over, until it comes', () => {
    const { add, ready, shard } = book()
    ready('a')
    add(2, 6, 10)
    expect(shard()).toMatchObject({ gaps: 2, lost: 6, sequence: 10 })
    add(4, 3, 5)
    expect(shard()).toMatchObject({ gaps: 2, lost: 3, duplicates: 0 })
    add(4, 9, 8, 7)
    expect(shard()).toMatchObject({ gaps: 2, lost: 0, duplicates: 1, sequence: 10 })
  })

  it('starts anew with a session; what was missing of the one before is lost for good', () => {
    const { add, ready, shard } = book()
    ready('a')
    add(2, 5)
    ready('b')
    add(2, 3)
    expect(shard()).toMatchObject({ sessions: 2, lost: 2, duplicates: 0, sequence: 3 })
  })

  it('holds nothing against a session that it met half-way', () => {
    const { add, shard } = book()
    add(700, 701)
    expect(shard()).toMatchObject({ events: 2, gaps: 0, lost: 0, duplicates: 0, sessions: 0, sequence: 701 })
  })

  it('measures the longest silence of each shard, the present one included', () => {
    const { time, ledger, add } = book()
    add(1)
    time.now = 400
    add(2)
    time.now = 500
    ledger.add({ shardId: 8, type: 'TYPING_START', sequence: 1 })
    add(3)
    expect(ledger.stats()).toMatchObject({ longestSilenceMs: 400, silences: [{ shardId: 3, milliseconds: 400 }, {}] })
    time.now = 2000
    expect(ledger.stats()).toMatchObject({ longestSilenceMs: 1500 })
    ledger.restartSilences()
    time.now = 2100
    expect(ledger.stats()).toMatchObject({ longestSilenceMs: 100 })
  })

  it('tells the ten most silent shards and the totals of all', () => {
    const { time, ledger } = book()
    for (let shardId = 0; shardId < 20; shardId += 1) {
      time.now = shardId * 10
      ledger.add({ shardId, type: 'MESSAGE_CREATE', sequence: 5 })
      ledger.add({ shardId, type: 'MESSAGE_CREATE', sequence: 7 })
    }
    const { silences, lost, gaps, events } = ledger.stats()
    expect(silences.map(({ shardId }) => shardId)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect({ lost, gaps, events }).toEqual({ lost: 20, gaps: 20, events: 40 })
  })

  it('knows the rate of the last seconds', () => {
    const { time, ledger, add } = book()
    for (let i = 0; i < 1000; i += 1) {
      time.now = i * 10
      add(i)
    }
    time.now = 10_000
    expect(ledger.stats().eventsPerSecond).toBe(100)
    time.now = 12_500
    expect(ledger.stats().eventsPerSecond).toBe(60)
    time.now = 60_000
    expect(ledger.stats().eventsPerSecond).toBe(0)
  })

  it('agrees with who remembers everything, whatever the order', () => {
    const sequences = fc.array(fc.integer({ min: 2, max: 40 }), { maxLength: 80 })
    fc.assert(
      fc.property(sequences, (delivered) => {
        const { add, ready, shard } = book()
        ready('a')
        add(...delivered)
        const seen = new Set([1, ...delivered])
        const last = Math.max(...seen)
        const lost = last - seen.size
        expect(shard()).toMatchObject({ lost, duplicates: delivered.length + 1 - seen.size, sequence: last })
      }),
    )
  })

  it('stays small when every other event is lost, and still knows how many were', () => {
    const { add, shard } = book()
    for (let i = 1; i <= 10_000; i += 1) add(i * 2)
    expect(shard()).toMatchObject({ lost: 9999, gaps: 9999 })
    add(3)
    // Too long ago to be told from a duplicate.
    expect(shard()).toMatchObject({ lost: 9999, duplicates: 1 })
    add(19_999)
    expect(shard()).toMatchObject({ lost: 9998, duplicates: 1 })
  })
})
