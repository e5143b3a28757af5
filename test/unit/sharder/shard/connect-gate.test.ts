import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ConnectGate } from '../../../../sharder/shard/connect-gate.ts'

const never = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

it('lets in whose session ends first, and of equals who came first', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 20 }), async (deadlines) => {
      const gate = new ConnectGate(1)
      let leave = await gate.enter(never, 0)
      const order: number[] = []
      const leaves: (() => void)[] = []
      for (const [index, deadline] of deadlines.entries())
        void gate.enter(never, deadline).then((free) => {
          order.push(index)
          if (free) leaves.push(free)
        })
      for (const _ of deadlines) {
        leave?.()
        await turn()
        leave = leaves.at(-1)
      }
      const sorted = deadlines.map((deadline, index) => ({ deadline, index }))
      sorted.sort((a, b) => a.deadline - b.deadline || a.index - b.index)
      expect(order).toEqual(sorted.map(({ index }) => index))
    }),
    { numRuns: 50 },
  )
})

it('keeps no place for whoever has gone, and gives a place back once', async () => {
  const gate = new ConnectGate(1)
  const leave = await gate.enter(never, 0)
  const gone = new AbortController()
  const first = gate.enter(gone.signal, 1)
  const second = gate.enter(never, 2)
  gone.abort()
  expect(await first).toBeUndefined()
  leave?.()
  leave?.()
  expect(await second).toBeTypeOf('function')
  const third = gate.enter(never, 3)
  let inside = false
  void third.then(() => {
    inside = true
  })
  await turn()
  expect(inside).toBe(false)
})
