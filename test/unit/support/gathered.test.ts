import { describe, expect, it } from 'vitest'
import { Gathered } from '../../../src/support/gathered.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function aGathered() {
  const clock = new VirtualClock()
  const began: number[] = []
  const ends: ((result: string) => void)[] = []
  const gathered = new Gathered(clock, 1_000, () => {
    began.push(clock.now())
    return new Promise<string>((resolve) => ends.push(resolve))
  })
  return { clock, began, ends, gathered }
}

describe('Gathered', () => {
  it('works once for all who ask, and once a second, however many ask', async () => {
    const { clock, began, ends, gathered } = aGathered()
    const first = gathered.ask()
    await clock.advance(0)
    const later = Array.from({ length: 1_000 }, () => gathered.ask())
    ends.shift()?.('first')
    expect(await first).toBe('first')
    await clock.advance(999)
    expect(began).toEqual([0])
    await clock.advance(1)
    expect(began).toEqual([0, 1_000])
    ends.shift()?.('second')
    expect(new Set(await Promise.all(later))).toEqual(new Set(['second']))
  })

  it('tells nobody what was found before the question', async () => {
    const { clock, began, ends, gathered } = aGathered()
    void gathered.ask()
    await clock.advance(5_000)
    const asked = gathered.ask()
    await clock.advance(5_000)
    expect(began).toEqual([0])
    ends.shift()?.('old')
    await clock.advance(0)
    ends.shift()?.('new')
    expect(await asked).toBe('new')
    expect(began).toEqual([0, 10_000])
  })

  it('goes on after a failure, of which all are told who asked for it', async () => {
    const clock = new VirtualClock()
    let fails = true
    const gathered = new Gathered(clock, 10, async () => {
      if (fails) throw new Error('broken')
      return 'well'
    })
    const asked = [gathered.ask(), gathered.ask()].map((one) => expect(one).rejects.toThrow('broken'))
    await clock.advance(10)
    await Promise.all(asked)
    fails = false
    const next = gathered.ask()
    await clock.advance(10)
    expect(await next).toBe('well')
  })
})
