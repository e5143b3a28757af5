import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FROM_WORKERS } from '../../../src/limits.ts'
import { checkClaim, type MayHold } from '../../../src/manager/claims.ts'
import { LineReader } from '../../../src/manager/line-reader.ts'
import { readRecords, recordOf } from '../../../src/manager/state-records.ts'
import { WorkerBoundError } from '../../../src/manager/worker-bounds.ts'
import { WorkerView } from '../../../src/manager/worker-view.ts'
import type { StateRecord } from '../../../src/protocol/state.ts'
import { runs } from '../../support/fuzz.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aRecord, aSession, aSnapshot } from './a-link.ts'

const never = new AbortController().signal
const text = (...records: unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('')

describe('lines', () => {
  test('are the same in whatever pieces they come', () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }).map((line) => line.replaceAll('\n', ' ')))
    fc.assert(
      fc.property(lines, fc.array(fc.nat(9)), (lines, cuts) => {
        const whole = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const reader = new LineReader()
        const read: string[] = []
        let at = 0
        for (const cut of [...cuts, whole.length]) {
          read.push(...reader.linesOf(whole.subarray(at, at + cut), 10_000))
          at = Math.min(whole.length, at + cut)
        }
        expect(read).toEqual(lines.filter((line) => line.trim() !== ''))
        expect(reader.unfinished).toBe(false)
      }),
      { seed: 3 },
    )
  })

  test('of the longest length are taken, and a byte more is not, in one piece or in many', () => {
    const longest = 1_000
    const fits = Buffer.from(`${'x'.repeat(longest)}\n`)
    const over = Buffer.from(`${'x'.repeat(longest + 1)}\n`)
    const read = (bytes: Buffer, piece: number) => {
      const reader = new LineReader()
      const lines: string[] = []
      for (let i = 0; i < bytes.length; i += piece) lines.push(...reader.linesOf(bytes.subarray(i, i + piece), longest))
      return lines
    }
    for (const piece of [1, 7, 2_000]) {
      expect(read(fits, piece)).toEqual(['x'.repeat(longest)])
      expect(() => read(over, piece)).toThrow(WorkerBoundError)
    }
  })
})

describe('records', () => {
  const mayHold: MayHold = { totalShards: 4, shards: 4, left: () => 8 }
  const session = fc.oneof(fc.constant(aSession(1)), fc.constant(aSession(9)), fc.jsonValue())
  const shard = fc.oneof(
    fc.record(
      {
        shardId: fc.oneof(fc.nat(5), fc.jsonValue()),
        state: fc.constantFrom('Connected', 'Resuming', 'x'),
        reason: fc.oneof(fc.constant('x'.repeat(9_999)), fc.jsonValue()),
        rttMs: fc.oneof(fc.double(), fc.jsonValue()),
        session,
      },
      { requiredKeys: ['shardId', 'state'] },
    ),
    fc.constant(aRecord(1)),
    fc.jsonValue(),
  )
  const list = <T>(item: fc.Arbitrary<T>) => fc.oneof({ weight: 9, arbitrary: fc.array(item) }, fc.jsonValue() as never)
  const record = fc.oneof(
    fc.record({ type: fc.constant('DELTA'), shards: list(shard), gone: list(fc.nat(6)) }),
    fc.record({ type: fc.constant('DRAINED'), sessions: list(session) }),
    fc
      .record({ shards: list(shard), sessions: list(session) })
      .map((some) => ({ ...aSnapshot([]), ...(some as object) })),
    fc.jsonValue(),
  )
  const line = fc.oneof(
    record.map((json) => JSON.stringify(json)),
    fc.tuple(record, fc.nat(200)).map(([json, end]) => JSON.stringify(json).slice(0, end)),
    fc.string(),
  )

  test('of whatever kind are taken or refused, never more than may be, and a refused one leaves no trace', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const view = new WorkerView(0)
        for (const line of lines) {
          const before = structuredClone({ shards: view.shards, sessions: view.finalSessions, parted: view.parted })
          try {
            const said = recordOf(line, 4)
            checkClaim(view, said, mayHold)
            view.apply(said, 0)
          } catch (error) {
            expect(error).toBeInstanceOf(WorkerBoundError)
            expect((error as Error).message.length).toBeLessThan(500)
            expect({ shards: view.shards, sessions: view.finalSessions, parted: view.parted }).toEqual(before)
          }
        }
        expect(view.shards.size + view.finalSessions.length).toBeLessThanOrEqual(8)
        const kept = JSON.stringify([[...view.shards.values()], view.finalSessions, [...view.parted]])
        // Eight of 1.5 KB with a reason of 256 characters; a character of three bytes counts as one here.
        expect(kept.length).toBeLessThan(8 * 2_048)
      }),
      { seed: 1, numRuns: runs(2_000) },
    )
  })

  test('that are deeper than a stack are refused like others', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(() => recordOf(`{"type":"DELTA","shards":${deep}}`, 4)).toThrow(WorkerBoundError)
    expect(recordOf(`{"type":"DELTA","x":${deep}}`, 4)).toEqual({ type: 'DELTA', shards: [], gone: [] })
  })

  test('thousands of wrong shards are refused in a short sentence', () => {
    const wrong = JSON.stringify({ type: 'DELTA', shards: Array(4_000).fill({}) })
    expect(() => recordOf(wrong, 5_000)).toThrow(/^the worker streamed something that is no state record: .{10,300}$/)
  })
})

describe('the other ShardClusters', () => {
  /** A stream that has everything at hand: nothing but reading gives the event loop back. */
  async function* ready(...parts: Buffer[]) {
    yield* parts
  }
  const bounds = (clock = new VirtualClock()) => ({ clock, shards: () => 1_000, signal: never })

  test('have their turn after every few records, in one part or in many', async () => {
    const deltas = text({ type: 'DELTA' }).repeat(500)
    const parts = Array.from({ length: 500 }, () => Buffer.from(text({ type: 'DELTA' })))
    for (const stream of [ready(Buffer.from(deltas)), ready(...parts)]) {
      let taken = 0
      let most = 0
      let last = 0
      let reading = true
      const others = async () => {
        while (reading) {
          most = Math.max(most, taken - last)
          last = taken
          await new Promise((go) => setImmediate(go))
        }
      }
      const running = others()
      await readRecords(stream, () => void taken++, bounds())
      reading = false
      await running
      expect(taken).toBe(500)
      expect(most).toBeLessThanOrEqual(FROM_WORKERS.recordsAtOnce)
    }
  })

  test('do not get what comes after the stream was given up', async () => {
    const given = new AbortController()
    const taken: StateRecord[] = []
    const read = readRecords(
      ready(Buffer.from(text({ type: 'DELTA' }).repeat(100))),
      (record) => {
        taken.push(record)
        given.abort(new Error('given up'))
      },
      { ...bounds(), signal: given.signal },
    )
    await expect(read).rejects.toThrow('given up')
    expect(taken).toHaveLength(FROM_WORKERS.recordsAtOnce)
  })

  test('a worker that was not read for 15 s may say all of it at once', async () => {
    const clock = new VirtualClock()
    let taken = 0
    const held = ready(Buffer.from(text({ type: 'DELTA', shards: [aRecord(0)] }).repeat(750)))
    await readRecords(held, () => void taken++, bounds(clock))
    expect(taken).toBe(750)
  })

  test('a stream that ends in the middle of a record is broken', async () => {
    const read = readRecords(ready(Buffer.from(`${text({ type: 'DELTA' })}{"ty`)), () => {}, bounds())
    await expect(read).rejects.toThrow('in the middle of a record')
  })
})
