import { afterEach, beforeEach, expect, test } from 'vitest'
import { mostCommonCut } from '../../../src/manager/cut-off.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import type { ShardRecord } from '../../../src/protocol/state.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord } from './a-link.ts'

let links: WorkerLink[]
beforeEach(() => {
  links = []
})
afterEach(async () => {
  for (const link of links) await link.stop()
})

function worker(...shards: Partial<ShardRecord>[]) {
  const clock = new VirtualClock()
  const link = aLink(
    links.length,
    clock,
    shards.map((more, index) => aRecord(index, { state: 'Resuming', ...more })),
  )
  links.push(link)
  return link
}

test('counts shards that resume after a connection was cut, over all workers, and says how most were', () => {
  worker({ closeCode: 1001 }, { closeCode: 1001, reason: 'Discord asked for it (op 7)' })
  worker({ closeCode: 1006 }, { closeCode: 1001, reason: 'Discord asked for it (op 7)' })
  expect(mostCommonCut(links)).toEqual({ shards: 4, reason: 'Discord asked for it (op 7)' })
})

test('a close code without a reason is its own', () => {
  worker({ closeCode: 1006 })
  expect(mostCommonCut(links)).toEqual({ shards: 1, reason: 'close 1006' })
})

test('says nothing of shards that are connected again, that their worker just took up, or that nobody can see', () => {
  worker({ state: 'Connected', closeCode: 1006 }, { state: 'Unidentified', closeCode: 1006 }, {})
  worker({ closeCode: 1006 }).view.connected = false
  expect(mostCommonCut(links)).toBeUndefined()
  expect(mostCommonCut([])).toBeUndefined()
})
