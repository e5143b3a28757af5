import { beforeEach, expect, it } from 'vitest'
import { keptAnswer } from '../../../sharder/kept-answer.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

let clock: VirtualClock
let asked: PromiseWithResolvers<string>[]
let ask: () => Promise<string>

beforeEach(() => {
  clock = new VirtualClock()
  asked = []
  ask = keptAnswer(clock, 1_000, () => {
    const next = Promise.withResolvers<string>()
    asked.push(next)
    return next.promise
  })
})

it('asks once for all who come while it asks, however long that takes, and for those of the next second', async () => {
  const first = [ask(), ask()]
  await clock.advance(10_000)
  first.push(ask())
  asked[0]?.resolve('a')
  expect(await Promise.all(first)).toEqual(['a', 'a', 'a'])
  await clock.advance(999)
  expect(await ask()).toBe('a')
  expect(asked).toHaveLength(1)
})

it('asks anew after that, and never two at once', async () => {
  const first = ask()
  asked[0]?.resolve('a')
  await first
  await clock.advance(1_000)
  const second = [ask(), ask()]
  expect(asked).toHaveLength(2)
  asked[1]?.resolve('b')
  expect(await Promise.all(second)).toEqual(['b', 'b'])
})

it('tells a failure to those who wait for it, and to nobody else', async () => {
  const waiting = [ask(), ask()]
  asked[0]?.reject(new Error('no'))
  expect(await Promise.allSettled(waiting)).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
  const next = ask()
  asked[1]?.resolve('yes')
  expect(await next).toBe('yes')
})
