import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planRollout, type RolloutFacts, type RolloutWorker } from '../../../src/domain/rollout.ts'

const worker = (ordinal: number, change: Partial<RolloutWorker> = {}): RolloutWorker => ({
  ordinal,
  outdated: true,
  terminating: false,
  working: true,
  ...change,
})
const facts = (workers: RolloutWorker[], change: Partial<RolloutFacts> = {}): RolloutFacts => ({
  paused: false,
  settled: true,
  totalWorkers: workers.length,
  workers,
  totalShards: 30,
  ready: 30,
  misplaced: 0,
  ...change,
})

describe('planRollout', () => {
  test('has nothing to do when no worker is outdated', () => {
    expect(planRollout(facts([worker(0, { outdated: false })]))).toBeUndefined()
  })

  test('replaces the highest ordinal first', () => {
    expect(planRollout(facts([worker(0), worker(1), worker(2, { outdated: false })]))).toEqual({
      outdated: 2,
      next: 1,
      held: undefined,
    })
  })

  const two = [worker(0), worker(1)]
  test.each<[string, RolloutFacts, string]>([
    ['rollout_is_not_paused', facts(two, { paused: true }), 'paused by the annotation shardcluster.dev/pause-rollout'],
    [
      'rollout_is_not_paused',
      facts([worker(0, { working: false })], { paused: true }),
      'paused by the annotation shardcluster.dev/pause-rollout',
    ],
    ['template_is_settled', facts(two, { settled: false }), 'the new template is being taken in'],
    ['no_worker_is_away', facts([worker(0), worker(1, { terminating: true })]), 'worker 1 is being replaced'],
    ['no_worker_is_away', facts([worker(0)], { totalWorkers: 2 }), 'worker 1 is not back yet'],
    [
      'no_worker_is_away',
      facts([worker(0), worker(1, { outdated: false, working: false })]),
      'worker 1 is not back yet',
    ],
    ['every_shard_is_connected', facts(two, { ready: 27 }), '3 shards are not connected'],
    ['no_shard_moves', facts(two, { misplaced: 4 }), '4 shards move to another worker'],
  ])('%s holds it: %#', (predicate, seen, message) => {
    expect(planRollout(seen)).toMatchObject({ next: undefined, held: { predicate, message } })
  })

  test('replaces a broken worker of the template before at once: the way back from a bad image', () => {
    const seen = facts([worker(0), worker(1, { working: false })], { ready: 15 })
    expect(planRollout(seen)).toEqual({ outdated: 2, next: 1, held: undefined })
  })

  test('with workers that come back one by one: at most one is away at a time, and all are replaced', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(fc.nat({ max: 2 }), { maxLength: 200 }), (size, moves) => {
        const state = Array.from({ length: size }, (_, ordinal) => worker(ordinal))
        const away = () => state.filter(({ working }) => !working).length
        const look = () => planRollout(facts(state, { ready: 30 - 2 * away() }))
        const advance = () => {
          const gone = state.findIndex(({ working }) => !working)
          if (gone >= 0) state[gone] = worker(gone, { outdated: false })
        }
        for (const move of [...moves, ...Array(2 * size).fill(0)]) {
          if (move === 1) advance()
          const next = look()?.next
          expect(look()?.next).toBe(next)
          if (next !== undefined) {
            expect(away()).toBe(0)
            state[next] = worker(next, { terminating: true, working: false })
          } else if (move === 0) advance()
          expect(away()).toBeLessThanOrEqual(1)
        }
        advance()
        expect(state.filter(({ outdated }) => outdated)).toEqual([])
      }),
    )
  })
})
