import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planHandOver, removable, type Target, type WorkerFacts } from '../../../src/domain/hand-over.ts'
import { contains, ownerOf, type Range, rangeOf, shardsOf, sizeOf } from '../../../src/domain/ranges.ts'

const NOBODY: ReadonlySet<number> = new Set()

interface ModelWorker {
  held: Set<number>
  identifying: Set<number>
  connected: boolean
  assigned: WorkerFacts['assigned']
  touched: Set<number>
}

/** Workers that obey at once; every command is checked against who holds what. */
class Model {
  readonly workers = new Map<number, ModelWorker>()
  target: Target

  constructor(totalShards: number, totalWorkers: number, batch: number) {
    this.target = { totalShards, totalWorkers, gatewayKey: 'a', batch }
    this.ensure()
  }

  ensure(): void {
    for (let ordinal = 0; ordinal < this.target.totalWorkers; ordinal++)
      if (!this.workers.has(ordinal))
        this.workers.set(ordinal, {
          ...{ held: new Set(), identifying: new Set(), connected: true, assigned: undefined, touched: new Set() },
        })
  }

  facts(): WorkerFacts[] {
    return [...this.workers].map(([ordinal, worker]) => ({
      ...{ ordinal, draining: false, owed: NOBODY, parted: NOBODY },
      ...worker,
    }))
  }

  plan(busy = NOBODY) {
    return planHandOver(this.facts(), this.target, busy)
  }

  /** Carries out one plan. @returns whether anything was to do. */
  step(): boolean {
    const { assigns, releases } = this.plan()
    for (const { ordinal, range, withhold } of assigns) this.#assign(ordinal, range, withhold)
    for (const { ordinal, shardIds } of releases) {
      const worker = this.workers.get(ordinal) as ModelWorker
      for (const shardId of shardIds) {
        worker.held.delete(shardId)
        worker.touched.add(shardId)
      }
    }
    return assigns.length + releases.length > 0
  }

  #assign(ordinal: number, range: Range, withhold: readonly Range[]): void {
    const worker = this.workers.get(ordinal) as ModelWorker
    for (const shardId of shardsOf(range)) {
      if (withhold.some((range) => contains(range, shardId))) continue
      for (const [other, { held }] of this.workers) if (other !== ordinal) expect(held.has(shardId)).toBe(false)
      worker.held.add(shardId)
    }
    worker.assigned = { range, withhold, gatewayKey: this.target.gatewayKey }
  }

  run(): void {
    for (let i = 0; this.step(); i++) expect(i, 'it does not converge').toBeLessThan(2_000)
  }
}

const totals = { totalShards: fc.integer({ min: 1, max: 120 }), batch: fc.integer({ min: 1, max: 64 }) }
const scalings = fc.record({
  ...totals,
  from: fc.integer({ min: 1, max: 9 }),
  /** Each after some steps of the one before, so that hand-overs overlap. */
  to: fc.array(fc.record({ workers: fc.integer({ min: 1, max: 9 }), steps: fc.nat(6) }), {
    minLength: 1,
    maxLength: 5,
  }),
})

function scaled({
  totalShards,
  batch,
  from,
  to,
}: {
  totalShards: number
  batch: number
  from: number
  to: { workers: number; steps: number }[]
}) {
  const model = new Model(totalShards, from, batch)
  model.run()
  for (const { workers, steps } of to) {
    model.target = { ...model.target, totalWorkers: workers }
    model.ensure()
    for (let i = 0; i < steps; i++) model.step()
  }
  model.run()
  return model
}

describe('whatever is scaled while it is scaled', () => {
  test('nothing is assigned while another holds it, it converges, and each worker holds its range', () => {
    fc.assert(
      fc.property(scalings, (scaling) => {
        const model = scaled(scaling)
        const { totalShards, totalWorkers } = model.target
        for (const [ordinal, { held }] of model.workers)
          expect([...held].sort((a, b) => a - b)).toEqual([...shardsOf(rangeOf(ordinal, totalShards, totalWorkers))])
      }),
    )
  })

  test('the plan is empty where nothing has to change, and the same when nothing happened', () => {
    fc.assert(
      fc.property(scalings, (scaling) => {
        const model = scaled(scaling)
        expect(model.plan()).toEqual({ releases: [], assigns: [] })
        model.target = { ...model.target, totalWorkers: model.target.totalWorkers + 1 }
        model.ensure()
        expect(model.plan()).toEqual(model.plan())
      }),
    )
  })

  test('a shard whose worker stays is not touched', () => {
    fc.assert(
      fc.property(scalings, (scaling) => {
        const model = scaled(scaling)
        const counts = [scaling.from, ...scaling.to.map(({ workers }) => workers)]
        for (const [ordinal, { touched }] of model.workers)
          for (const shardId of touched)
            expect(counts.every((count) => ownerOf(shardId, scaling.totalShards, count) === ordinal)).toBe(false)
      }),
    )
  })

  test('no worker is told to give up more than a batch at once', () => {
    fc.assert(
      fc.property(scalings, (scaling) => {
        const model = new Model(scaling.totalShards, scaling.from, scaling.batch)
        model.run()
        model.target = { ...model.target, totalWorkers: scaling.to[0]?.workers ?? 1 }
        model.ensure()
        do {
          for (const { shardIds } of model.plan().releases) {
            expect(shardIds.length).toBeGreaterThan(0)
            expect(shardIds.length).toBeLessThanOrEqual(scaling.batch)
          }
        } while (model.step())
      }),
    )
  })

  test('a worker that never comes does not stop the others, and what it shall hold goes on where it is', () => {
    fc.assert(
      fc.property(
        fc.record({
          ...totals,
          from: fc.integer({ min: 1, max: 6 }),
          more: fc.integer({ min: 1, max: 4 }),
          absent: fc.nat(),
        }),
        (c) => {
          const model = new Model(c.totalShards, c.from, c.batch)
          model.run()
          model.target = { ...model.target, totalWorkers: c.from + c.more }
          model.ensure()
          const absent = c.from + (c.absent % c.more)
          ;(model.workers.get(absent) as ModelWorker).connected = false
          model.run()
          const all = new Set([...model.workers.values()].flatMap(({ held }) => [...held]))
          expect(all.size).toBe(c.totalShards)
          for (const [ordinal, { held }] of model.workers) {
            const missing = [...shardsOf(rangeOf(ordinal, c.totalShards, c.from + c.more))].filter((s) => !held.has(s))
            expect(missing).toEqual(
              ordinal === absent ? [...shardsOf(rangeOf(absent, c.totalShards, c.from + c.more))] : [],
            )
          }
        },
      ),
    )
  })
})

describe('one plan', () => {
  const worker = (ordinal: number, more: Partial<WorkerFacts> = {}): WorkerFacts => ({
    ...{ ordinal, connected: true, draining: false, held: NOBODY, identifying: NOBODY, assigned: undefined },
    ...{ owed: NOBODY, parted: NOBODY },
    ...more,
  })
  const target: Target = { totalShards: 10, totalWorkers: 2, gatewayKey: 'a', batch: 64 }
  const told = (ordinal: number, withhold: Range[] = [], gatewayKey = 'a') => ({
    ...{ range: rangeOf(ordinal, 10, 2), withhold, gatewayKey },
  })
  const low = new Set([0, 1, 2, 3, 4])

  test('what a worker that does not answer may hold is withheld', () => {
    const { assigns } = planHandOver(
      [worker(0), worker(1, { connected: false, held: new Set([3, 4, 5]) })],
      target,
      NOBODY,
    )
    expect(assigns).toEqual([{ ordinal: 0, range: { first: 0, last: 4 }, withhold: [{ first: 3, last: 4 }] }])
  })
  test('but not what the worker itself says it holds', () => {
    const silent = worker(1, { connected: false, held: new Set([...shardsOf({ first: 0, last: 9 })]) })
    const { assigns } = planHandOver([worker(0, { held: low }), silent], target, NOBODY)
    expect(assigns[0]?.withhold).toEqual([])
  })
  test('busy and draining workers are left alone', () => {
    const workers = [worker(0), worker(1, { draining: true })]
    expect(planHandOver(workers, target, new Set([0]))).toEqual({ releases: [], assigns: [] })
  })
  test('nothing is released for a worker that has not taken our word', () => {
    const workers = [worker(0, { held: new Set([4, 5]), assigned: told(0) }), worker(1)]
    expect(planHandOver(workers, { ...target }, NOBODY).releases).toEqual([])
  })
  test('nor for one that has not taken what it was given before', () => {
    const giver = worker(0, { held: new Set([0, 1, 2, 3, 4, 9]), assigned: told(0) })
    const behind = worker(1, { held: new Set([5, 6]), assigned: told(1, [{ first: 9, last: 9 }]) })
    const abreast = { ...behind, held: new Set([5, 6, 7, 8]) }
    expect(planHandOver([giver, behind], target, NOBODY).releases).toEqual([])
    expect(planHandOver([giver, abreast], target, NOBODY).releases).toEqual([{ ordinal: 0, shardIds: [9] }])
  })
  test('a shard that is identifying is released after it', () => {
    const taker = worker(1, { held: new Set([5, 6, 7]), assigned: told(1, [{ first: 8, last: 9 }]) })
    const giver = worker(0, { held: new Set([...low, 8, 9]), identifying: new Set([9]), assigned: told(0) })
    expect(planHandOver([giver, taker], target, NOBODY).releases).toEqual([{ ordinal: 0, shardIds: [8] }])
  })
  test('other gateway options are told to every worker, and close nothing', () => {
    const high = new Set([5, 6, 7, 8, 9])
    const workers = [worker(0, { held: low, assigned: told(0) }), worker(1, { held: high, assigned: told(1) })]
    const plan = planHandOver(workers, { ...target, gatewayKey: 'b' }, NOBODY)
    expect(plan.assigns.map(({ ordinal, range }) => [ordinal, sizeOf(range)])).toEqual([
      [0, 5],
      [1, 5],
    ])
    expect(plan.releases).toEqual([])
  })
  test('a worker beyond the wanted ones is told so, which voids what an earlier leader permitted, and then to give up', () => {
    const nothing = { first: 10, last: 9 }
    const before = [worker(3, { held: new Set([9]) }), worker(4)]
    expect(planHandOver(before, { ...target, totalWorkers: 1 }, NOBODY)).toEqual({
      assigns: [{ ordinal: 3, range: nothing, withhold: [] }],
      releases: [],
    })
    const workers = [
      worker(0, {
        held: new Set([0, 1, 2, 3, 4, 5, 6, 7, 8]),
        assigned: { range: { first: 0, last: 9 }, withhold: [{ first: 9, last: 9 }], gatewayKey: 'a' },
      }),
      worker(3, { held: new Set([9]), assigned: { range: nothing, withhold: [], gatewayKey: 'a' } }),
    ]
    expect(planHandOver(workers, { ...target, totalWorkers: 1 }, NOBODY)).toEqual({
      assigns: [],
      releases: [{ ordinal: 3, shardIds: [9] }],
    })
  })
  test('a worker can be removed when it says itself that it holds nothing', () => {
    const one = { held: new Set([1]) }
    expect([worker(3), worker(3, one), worker(3, { draining: true, connected: false })].map(removable)).toEqual([
      true,
      false,
      true,
    ])
    expect([worker(3, { connected: false }), worker(3, { ...one, draining: true })].map(removable)).toEqual([
      false,
      false,
    ])
  })
  test('a worker that waits without a session that is known is told its range again, and only then', () => {
    const high = new Set([5, 6, 7, 8, 9])
    const workers = (owed: ReadonlySet<number>) => [
      worker(0, { held: low, owed, assigned: told(0) }),
      worker(1, { held: high, assigned: told(1) }),
    ]
    expect(planHandOver(workers(new Set([2])), target, NOBODY)).toEqual({
      assigns: [{ ordinal: 0, range: { first: 0, last: 4 }, withhold: [] }],
      releases: [],
    })
    expect(planHandOver(workers(NOBODY), target, NOBODY)).toEqual({ assigns: [], releases: [] })
  })
  test('a worker that gave a shard up stays as long as it may be the last to keep its session', () => {
    expect(removable(worker(3, { parted: new Set([9]) }))).toBe(false)
    expect(removable(worker(3, { parted: NOBODY }))).toBe(true)
  })
})
