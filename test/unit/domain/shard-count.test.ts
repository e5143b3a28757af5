import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shardCountProblem } from '../../../src/domain/shard-count.ts'

test.each([
  [5_000, { totalWorkers: 10, shardsPerWorker: 500 }, undefined, /^$/],
  [
    5_001,
    { totalWorkers: 10, shardsPerWorker: 500 },
    'TooManyShards',
    /5001 shards.*10 workers of 500: set totalWorkers to at least 11,/,
  ],
  [
    5_000,
    { totalWorkers: 10, shardsPerWorker: 500, shardMultiple: 16 },
    'IllegalShardCount',
    /5000.*shardMultiple 16.*4010.*4992 or 5008\.$/,
  ],
  [5, { totalWorkers: 1, shardsPerWorker: 500, shardMultiple: 16 }, 'IllegalShardCount', /Set totalShards to 16\.$/],
  [4_992, { totalWorkers: 10, shardsPerWorker: 500, shardMultiple: 16 }, undefined, /^$/],
] as const)('%i shards with %o: %s', (totalShards, limits, reason, message) => {
  const problem = shardCountProblem(totalShards, limits)
  expect(problem?.reason).toBe(reason)
  expect(problem?.message ?? '').toMatch(message)
})

test('a count is refused exactly when it does not fit or is no multiple, and following the advice mends it', () => {
  const limits = fc.record({
    totalWorkers: fc.integer({ min: 1, max: 50 }),
    shardsPerWorker: fc.integer({ min: 1, max: 600 }),
    shardMultiple: fc.option(fc.integer({ min: 1, max: 32 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), limits, (totalShards, limits) => {
      const problem = shardCountProblem(totalShards, limits)
      const fits = totalShards <= limits.totalWorkers * limits.shardsPerWorker
      const legal = totalShards % (limits.shardMultiple ?? 1) === 0
      expect(problem === undefined).toBe(fits && legal)
      const workers = problem?.message.match(/totalWorkers to at least (\d+)/)?.[1]
      if (workers) expect(shardCountProblem(totalShards, { ...limits, totalWorkers: Number(workers) })).toBeUndefined()
    }),
  )
})
