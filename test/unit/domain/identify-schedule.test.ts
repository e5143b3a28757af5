import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOf, rankOf } from '../../../src/domain/identify-order.ts'
import { byUrgency, estimateEnd, freeAt, planIdentifies } from '../../../src/domain/identify-schedule.ts'
import { aBudget, aCandidate, aSchedule, ScheduleModel, type Step } from './schedule-model.ts'

const steps = fc.array(
  fc.record<Step>({
    waitMs: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 12_000 })),
    outcome: fc.constantFrom('ready', 'ready', 'spent in vain', 'not sent', 'hangs'),
  }),
  { minLength: 1, maxLength: 40 },
)

/** One or two ShardClusters of one bot. */
const bots = fc.record({
  shards: fc.integer({ min: 1, max: 60 }),
  clusters: fc.integer({ min: 1, max: 2 }),
  maxConcurrency: fc.constantFrom(1, 2, 16),
  reserve: fc.constantFrom(0, 20),
  remaining: fc.integer({ min: 0, max: 80 }),
  order: fc.constantFrom('Spread' as const, 'Strict' as const),
})

function modelOf({
  shards,
  clusters,
  maxConcurrency,
  reserve,
  remaining,
  order,
}: typeof bots extends fc.Arbitrary<infer T> ? T : never) {
  const candidates = Array.from({ length: shards * clusters }, (_, i) => {
    const shardId = i % shards
    const rank = rankOf(shardId, order, { totalShards: shards, totalWorkers: 3, maxConcurrency })
    return aCandidate(shardId, {
      cluster: `ns/bot-${Math.floor(i / shards)}`,
      rank,
      reserve,
      strict: order === 'Strict',
    })
  })
  return new ScheduleModel(candidates, aSchedule({ maxConcurrency }), aBudget(remaining))
}

describe('a plan driven over random time and outcomes', () => {
  test('never puts two IDENTIFYs of a bucket within a window, whoever they are of', () => {
    fc.assert(
      fc.property(bots, steps, (bot, steps) => {
        const model = modelOf(bot)
        for (const step of steps) model.step(step)
        const lastAt = new Map<number, number>()
        for (const { grant, at } of model.sent.toSorted((a, b) => a.at - b.at)) {
          const bucket = bucketOf(grant.candidate.shardId, bot.maxConcurrency)
          expect(grant.bucket).toBe(bucket)
          expect(at - (lastAt.get(bucket) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(5_000)
          lastAt.set(bucket, at)
        }
      }),
    )
  })

  test('never goes below the reserve, even when everything under way is spent', () => {
    fc.assert(
      fc.property(bots, steps, (bot, steps) => {
        const model = modelOf(bot)
        for (const step of steps) {
          model.step(step)
          const certain = model.budget.remaining - model.budget.spent - model.hanging.length
          if (model.sent.length + model.hanging.length > 0) expect(certain).toBeGreaterThanOrEqual(bot.reserve)
        }
      }),
    )
  })

  test('planning again without news grants nothing', () => {
    fc.assert(
      fc.property(bots, steps, (bot, steps) => {
        const model = modelOf(bot)
        for (const step of steps) {
          model.step(step)
          model.plan()
          expect(model.plan()).toEqual([])
        }
      }),
    )
  })

  test('keeps the order inside a bucket: nobody who waits in it is more urgent than who goes', () => {
    fc.assert(
      fc.property(bots, steps, (bot, steps) => {
        const model = modelOf({ ...bot, order: 'Spread' })
        for (const step of steps) {
          for (const { candidate } of model.plan()) {
            const best = model.bestBeside(candidate)
            if (best) expect(byUrgency(candidate, best)).toBeLessThan(0)
          }
          model.step(step)
        }
      }),
    )
  })

  test('everyone is READY in the end, in the least time that the buckets allow', () => {
    fc.assert(
      fc.property(bots, (bot) => {
        const model = modelOf({ ...bot, remaining: 500 })
        const waves = Math.ceil(bot.shards / bot.maxConcurrency) * bot.clusters
        for (let i = 0; i < waves; i++) model.step({ waitMs: 5_050, outcome: 'ready' })
        expect(model.waiting.size).toBe(0)
        expect(model.hanging).toEqual([])
        expect(model.sent.length).toBe(bot.shards * bot.clusters)
      }),
    )
  })
})

test('a shard that hangs holds up its bucket and no other', () => {
  const model = new ScheduleModel(
    [0, 1, 16, 17, 33].map((id) => aCandidate(id)),
    aSchedule(),
    aBudget(1_000),
  )
  model.step({ waitMs: 10, outcome: 'hangs' })
  const [hangs] = model.hanging
  expect(model.hanging.map(({ candidate }) => candidate.shardId)).toEqual([0, 1])
  const other = new ScheduleModel(
    [1, 16, 17].map((id) => aCandidate(id)),
    aSchedule({ buckets: new Map([[0, { lastSentAt: -1, pending: hangs }]]) }),
    aBudget(1_000),
  )
  const { grants } = planIdentifies(
    { ...other.schedule, buckets: new Map([[0, { lastSentAt: -1, pending: hangs }]]) },
    other.waiting.values(),
    aBudget(1_000),
    1,
    60_000,
  )
  expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([1])
})

describe('urgency', () => {
  const urgent = (...candidates: ReturnType<typeof aCandidate>[]) =>
    candidates.toSorted(byUrgency).map(({ shardId }) => shardId)

  test('a shard that lost its session comes before those that never had one', () => {
    expect(urgent(aCandidate(0), aCandidate(64, { recovering: true, rank: 99 }))).toEqual([64, 0])
  })
  test('shard 0, which gets direct messages, recovers first', () => {
    const recovering = { recovering: true }
    expect(urgent(aCandidate(16, { ...recovering, rank: 0 }), aCandidate(0, { ...recovering, rank: 7 }))).toEqual([
      0, 16,
    ])
  })
  test('then the rank decides, whatever the id', () => {
    expect(urgent(aCandidate(5, { rank: 2 }), aCandidate(9, { rank: 1 }))).toEqual([9, 5])
  })
  test('is the same whatever order they come in', () => {
    const shards = fc.uniqueArray(fc.record({ id: fc.nat(50), rank: fc.nat(5), recovering: fc.boolean() }), {
      selector: ({ id }) => id,
    })
    fc.assert(
      fc.property(shards, (shards) => {
        const all = shards.map(({ id, ...more }) => aCandidate(id, more))
        expect(urgent(...all.toReversed())).toEqual(urgent(...all))
      }),
    )
  })
})

describe('time', () => {
  test('a slot is one window and the margin after the last IDENTIFY of the bucket left', () => {
    const schedule = aSchedule({ buckets: new Map([[3, { lastSentAt: 1_000, pending: undefined }]]) })
    const { grants } = planIdentifies(schedule, [aCandidate(3), aCandidate(4)], aBudget(10), 0, 2_000)
    expect(grants.map(({ slotAt }) => slotAt)).toEqual([6_050, 2_000])
  })
  test('a new leader gives no slot before its first window is over', () => {
    const { grants } = planIdentifies(aSchedule({ notBefore: 5_050 }), [aCandidate(0)], aBudget(10), 0, 10)
    expect(grants.map(({ slotAt }) => slotAt)).toEqual([5_050])
    expect(freeAt(aSchedule({ notBefore: 5_050 }), 0, 'ns/bot')).toBe(5_050)
  })
  test('a slot further away than a worker takes is granted later', () => {
    const schedule = aSchedule({ window: 60_000, buckets: new Map([[0, { lastSentAt: 0, pending: undefined }]]) })
    const plan = planIdentifies(schedule, [aCandidate(0)], aBudget(10), 0, 100)
    expect(plan).toEqual({ grants: [], shortOfBudget: new Set(), wakeAt: 50_050 })
    expect(planIdentifies(schedule, [aCandidate(0)], aBudget(10), 0, 50_050).grants).toHaveLength(1)
  })
  test('a shard that backs off is passed over and woken for', () => {
    const candidates = [aCandidate(0, { notBefore: 9_000 }), aCandidate(16)]
    const { grants, wakeAt } = planIdentifies(aSchedule(), candidates, aBudget(10), 0, 100)
    expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([16])
    expect(wakeAt).toBe(9_000)
  })
})

describe('Strict', () => {
  const wave = (...ids: number[]) => ids.map((id) => aCandidate(id, { rank: Math.floor(id / 16), strict: true }))

  test('the next wave waits for every shard of the one before', () => {
    const { grants } = planIdentifies(aSchedule(), wave(3, 16, 17), aBudget(10), 0, 0)
    expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([3])
  })
  test('a shard that backs off after a failure does not hold back the bot', () => {
    const [failing, ...others] = wave(3, 16, 17)
    const { grants } = planIdentifies(
      aSchedule(),
      [{ ...(failing as never as ReturnType<typeof aCandidate>), notBefore: 900_000 }, ...others],
      aBudget(10),
      0,
      0,
    )
    expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([16, 17])
  })
  test('when every shard backs off, the first to be ready again is waited for', () => {
    const backingOff = [3, 4].map((rank) => aCandidate(rank, { rank, strict: true, notBefore: 1_000 * rank }))
    const { grants, wakeAt } = planIdentifies(aSchedule(), backingOff, aBudget(10), 0, 0)
    expect([grants, wakeAt]).toEqual([[], 3_000])
  })

  test('recovering shards go at once and hold nobody back', () => {
    const recovering = aCandidate(40, { rank: 2, strict: true, recovering: true })
    const { grants } = planIdentifies(aSchedule(), [...wave(3), recovering], aBudget(10), 0, 0)
    expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([40, 3])
  })
})

describe('budget', () => {
  test('unknown: nobody goes', () => {
    expect(planIdentifies(aSchedule(), [aCandidate(0)], undefined, 0, 0)).toEqual({
      grants: [],
      shortOfBudget: new Set(['ns/bot']),
      wakeAt: undefined,
    })
  })
  test('the most urgent get what is left above the reserve', () => {
    const candidates = [
      aCandidate(1, { reserve: 8 }),
      aCandidate(2, { reserve: 8 }),
      aCandidate(3, { reserve: 8, recovering: true }),
    ]
    const { grants, shortOfBudget } = planIdentifies(aSchedule(), candidates, aBudget(10), 0, 0)
    expect(grants.map(({ candidate }) => candidate.shardId)).toEqual([3, 1])
    expect([...shortOfBudget]).toEqual(['ns/bot'])
  })
  test('each ShardCluster keeps its own reserve', () => {
    const candidates = [aCandidate(1, { reserve: 10 }), aCandidate(2, { cluster: 'ns/other', reserve: 5 })]
    const { grants } = planIdentifies(aSchedule(), candidates, aBudget(10), 0, 0)
    expect(grants.map(({ candidate }) => candidate.cluster)).toEqual(['ns/other'])
  })
  test('what is under way counts as spent', () => {
    expect(planIdentifies(aSchedule(), [aCandidate(1)], aBudget(3), 3, 0).grants).toEqual([])
  })
})

describe('ShardClusters of one bot', () => {
  /** Two and more, with all that they say of themselves: how many shards, how urgent, which reserve. */
  const shares = fc.array(fc.record({ shards: fc.integer({ min: 1, max: 40 }), recovering: fc.boolean() }), {
    minLength: 2,
    maxLength: 4,
  })

  test('take turns in a bucket: of k that wait, each has one of any k slots', () => {
    fc.assert(
      fc.property(shares, (clusters) => {
        const candidates = clusters.flatMap(({ shards, recovering }, c) =>
          Array.from({ length: shards }, (_, i) => aCandidate(i, { cluster: `ns-${c}/bot`, recovering })),
        )
        const model = new ScheduleModel(candidates, aSchedule({ maxConcurrency: 1 }), aBudget(1_000))
        while (model.waiting.size > 0) model.step({ waitMs: 5_050, outcome: 'ready' })
        const order = model.sent.map(({ grant }) => grant.candidate.cluster)
        const left = new Map(clusters.map(({ shards }, c) => [`ns-${c}/bot`, shards]))
        for (let i = 0; i < order.length; ) {
          const waiting = [...left].filter(([, shards]) => shards > 0).map(([cluster]) => cluster)
          expect(order.slice(i, i + waiting.length).toSorted()).toEqual(waiting.toSorted())
          for (const cluster of waiting) left.set(cluster, (left.get(cluster) ?? 0) - 1)
          i += waiting.length
        }
      }),
    )
  })

  test('one that keeps a large reserve holds nobody else up', () => {
    const candidates = [
      aCandidate(0, { cluster: 'a/bot', reserve: 1_000 }),
      aCandidate(0, { cluster: 'b/bot', rank: 9 }),
    ]
    const { grants, shortOfBudget } = planIdentifies(aSchedule(), candidates, aBudget(10), 0, 0)
    expect(grants.map(({ candidate }) => candidate.cluster)).toEqual(['b/bot'])
    expect([...shortOfBudget]).toEqual(['a/bot'])
  })

  test('one that wants more time than Discord between IDENTIFYs waits for it alone', () => {
    const slower = new Map([['a/bot', 60_000]])
    const turns = new Map([['a/bot', 0]])
    const buckets = new Map([[0, { lastSentAt: 0, pending: undefined, turns }]])
    const slotOf = (cluster: string) =>
      planIdentifies(
        aSchedule({ slower, buckets, lookahead: 100_000 }),
        [aCandidate(0, { cluster })],
        aBudget(10),
        0,
        1_000,
      ).grants.map(({ slotAt }) => slotAt)
    expect(slotOf('a/bot')).toEqual([60_050])
    expect(slotOf('b/bot')).toEqual([5_050])
  })

  test('an estimate counts the turns of the others, and no more of them', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => aCandidate(i, { cluster: 'a/bot' }))
    const own = [0, 1, 2].map((shardId) => aCandidate(shardId, { cluster: 'b/bot' }))
    const schedule = aSchedule({ maxConcurrency: 1 })
    expect(estimateEnd(schedule, [...many, ...own], 0, 'b/bot')).toBe(5 * 5_050)
    expect(estimateEnd(schedule, many, 0, 'b/bot')).toBeUndefined()
  })
})
