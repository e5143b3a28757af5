import { describe, expect, it } from 'vitest'
import { firstRemedy, nextRemedy } from '../../../operator/reconcile/remedy.ts'

const SECOND = 1_000

describe('nextRemedy', () => {
  it('tries a first token once: the pods started with it', () => {
    let remedy = nextRemedy(undefined, 'a', undefined, 0)
    for (let now = 0; now < 600 * SECOND; now += 15 * SECOND) remedy = nextRemedy(remedy, 'a', 4004, now)
    expect(remedy.text).toBe('a')
  })

  it('tries a changed token again and again, until every kubelet has written it', () => {
    let remedy = nextRemedy(nextRemedy(undefined, 'a', undefined, 0), 'b', 4004, 100 * SECOND)
    const texts = new Set<string>()
    for (let now = 100 * SECOND; now < 900 * SECOND; now += 5 * SECOND) {
      remedy = nextRemedy(remedy, 'b', 4004, now)
      texts.add(remedy.text)
    }
    // Every 10 s for 3 minutes, never more, and not for ever.
    expect(texts.size).toBe(18)
    expect(remedy.triedAt).toBeLessThan(280 * SECOND)
  })

  it('leaves alone what works, and what another close code turned away', () => {
    const changed = nextRemedy(nextRemedy(undefined, 'a', undefined, 0), 'b', undefined, 0)
    for (const closeCode of [undefined, 4014]) expect(nextRemedy(changed, 'b', closeCode, 60 * SECOND)).toBe(changed)
  })

  it("takes the first one for a change where another bot's token was before", () => {
    const remedy = nextRemedy(firstRemedy(0), 'a', undefined, 0)
    expect(nextRemedy(remedy, 'a', 4004, 11 * SECOND).text).toBe('a/1')
  })
})
