import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide } from '../../../operator/reconcile/decide.ts'
import { statusSchema } from '../../../src/api/status.ts'
import type { WorkerFleet } from '../../../src/manager/fleet.ts'
import { timeText } from '../../../src/support/clock.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { cluster, fleet, observed, pod } from './world.ts'

/** etcd takes 1.5 MB an object; the rest of it needs its room as well. */
const ETCD = 1_200_000

const number = fc.constantFrom(0, -1, 1, 2 ** 31, 2 ** 53, 1e300, -1e300, Number.NaN, Number.POSITIVE_INFINITY)
const text = fc.constantFrom('', 'x', 'é€😀'.repeat(20_000), '\u0000\u001b[31m'.repeat(20_000), '\ud800'.repeat(40_000))
const sink = fc.record({
  name: text,
  state: fc.constantFrom('Flowing', 'Failing', 'Unauthorized'),
  message: text,
  pending: number,
})
const worker = fc.record({ message: text, connected: fc.boolean(), ready: number, held: number, sinks: fc.array(sink) })
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

describe('the status', () => {
  it('can always be written, whatever workers, sinks and the REST proxy say', () => {
    const clock = new VirtualClock()
    const time = number.map((at) => timeText(clock, at))
    const world = fc.record({
      counts: fc.record({ ready: number, waiting: number, identifying: number, resuming: number, misplaced: number }),
      failing: fc.array(fc.record({ shardId: fc.nat(7), failures: number, message: text }), { maxLength: 5 }),
      tripped: fc.array(fc.record({ shardId: fc.nat(7), identifies: number, until: time }), { maxLength: 2 }),
      cutOff: fc.option(fc.record({ shards: number, reason: text }), { nil: undefined }),
      maxConcurrency: number,
      budget: fc.record({ left: number, total: number, resetTime: time }),
      shortOfBudget: fc.boolean(),
      estimatedTime: fc.option(time, { nil: undefined }),
      refused: fc.option(fc.record({ reason: fc.constant('ApplyFailed' as const), message: text }), { nil: undefined }),
      two: fc.tuple(worker, worker),
    })
    fc.assert(
      fc.property(world, ({ counts, two, refused, estimatedTime, ...change }) => {
        const whole = fleet(8, 2, { ...counts, ...change })
        const workers = whole.workers.map((one, i) => ({ ...one, ...two[i] }) as WorkerFleet)
        const { status, events } = decide(
          observed({ fleet: { ...whole, workers }, refused, estimatedTime, status: {} }),
        )
        expect(statusSchema.safeParse(status).error?.issues).toBeUndefined()
        for (const { message } of status.conditions ?? []) expect(message.length).toBeLessThanOrEqual(1_024)
        for (const { note } of events) expect(note.length).toBeLessThanOrEqual(2_048)
        expect(status.identify?.resetTime).toMatch(RFC3339)
        expect(JSON.stringify(status).isWellFormed()).toBe(true)
      }),
      { seed: 11, numRuns: 300 },
    )
  })

  it('of 1,000 workers that each say as much as they can fits into an object', () => {
    const totalWorkers = 1_000
    const pods = Array.from({ length: totalWorkers }, (_, ordinal) => pod(ordinal, 'running', 100_000))
    const whole = fleet(100_000, totalWorkers)
    // A character of three bytes is the most that one of UTF-16 takes.
    const workers = whole.workers.map((one) => ({ ...one, connected: false, message: '€'.repeat(1_024) }))
    const big = cluster({ totalShards: 100_000, totalWorkers })
    const { status } = decide(observed({ cluster: big, pods, statefulSets: [], fleet: { ...whole, workers } }))
    expect(status.workerStatuses).toHaveLength(totalWorkers)
    expect(status.workerStatuses?.[0]?.message).toMatch(/^€{255}…$/)
    expect(Buffer.byteLength(JSON.stringify(status))).toBeLessThan(ETCD)
  })
})
