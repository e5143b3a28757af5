import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairTurns, type Steps } from '../../../src/support/fair-turns.ts'

/** Turns that a test takes one by one, and what was done in each. */
function aLoop(waiting = 1_000, waitingInAll = 1_000) {
  const due: (() => void)[] = []
  const done: string[] = []
  const turns = new FairTurns({ waiting, waitingInAll, later: (action) => void due.push(action) })
  function* steps(owner: string, count: number): Steps<string> {
    for (let step = 1; step < count; step++) {
      done.push(owner)
      yield
    }
    done.push(owner)
    return `${owner} ${count}`
  }
  return { turns, due, done, run: (owner: string, count: number) => turns.run(owner, steps(owner, count)) }
}

describe('FairTurns', () => {
  it('does one step a turn, and between two of one owner one of each other that waits', async () => {
    const jobs = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 5 })), {
      minLength: 1,
    })
    await fc.assert(
      fc.asyncProperty(jobs, async (asked) => {
        const { due, done, run } = aLoop()
        const left = new Map<string, number>()
        const results = asked.map(([owner, count]) => {
          left.set(owner, (left.get(owner) ?? 0) + count)
          return run(owner, count)
        })
        for (let turn = due.shift(); turn; turn = due.shift()) {
          const before = done.length
          turn()
          expect(done.length - before).toBe(1)
          expect(due.length).toBeLessThanOrEqual(1)
        }
        const steps = new Map<string, number>()
        for (const owner of done) {
          const own = (steps.get(owner) ?? 0) + 1
          steps.set(owner, own)
          for (const [other, all] of left) expect(steps.get(other) ?? 0).toBeGreaterThanOrEqual(Math.min(all, own - 1))
        }
        expect(steps).toEqual(left)
        expect(await Promise.all(results)).toEqual(asked.map(([owner, count]) => `${owner} ${count}`))
      }),
      { numRuns: 200 },
    )
  })

  it('refuses what is beyond an owner’s share, and beyond all shares, and goes on with what waits', async () => {
    const { due, run } = aLoop(2, 3)
    const all = [run('a', 1), run('a', 1), run('a', 1), run('b', 1), run('c', 1)]
    expect(all.map((job) => job !== undefined)).toEqual([true, true, false, true, false])
    while (due.length > 0) due.shift()?.()
    expect(await Promise.all(all)).toEqual(['a 1', 'a 1', undefined, 'b 1', undefined])
    const after = run('c', 1)
    due.shift()?.()
    expect(await after).toBe('c 1')
  })

  it('fails the job whose step throws, and no other', async () => {
    const { turns, due, run } = aLoop()
    const bad = turns.run(
      'a',
      // biome-ignore lint/correctness/useYield: it fails before it could
      (function* (): Steps<void> {
        throw new Error('broken')
      })(),
    )
    const good = run('a', 1)
    while (due.length > 0) due.shift()?.()
    await expect(bad).rejects.toThrow('broken')
    expect(await good).toBe('a 1')
  })
})
