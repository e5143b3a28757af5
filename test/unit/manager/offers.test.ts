import { afterEach, beforeEach, expect, test } from 'vitest'
import { Offers } from '../../../src/manager/offers.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord, aSnapshot } from './a-link.ts'

let link: WorkerLink
let offers: Offers
beforeEach(() => {
  link = aLink(0, new VirtualClock(), [aRecord(0)])
  offers = new Offers()
})
afterEach(() => link.stop())

const open = () => [...offers.of(link)]
const obeys = (epoch: number) => link.view.apply({ type: 'DELTA', shards: [], gone: [], epoch }, 0)

test('an offer is open until the stream shows something written after it', () => {
  offers.add(link, 5, [1, 2])
  offers.add(link, 6, [3])
  expect(open()).toEqual([1, 2, 3])
  link.view.apply({ type: 'DELTA', shards: [aRecord(1)], gone: [] }, 0)
  expect(open()).toEqual([1, 2, 3])
  obeys(5)
  expect(open()).toEqual([3])
  expect([offers.includes(link, 1), offers.includes(link, 3)]).toEqual([false, true])
  obeys(6)
  expect(open()).toEqual([])
})

test('one that is taken back is over, and no other', () => {
  const takeBack = offers.add(link, 5, [1])
  offers.add(link, 6, [2])
  takeBack()
  expect(open()).toEqual([2])
})

test('a process that began anew never took what its predecessor was offered', () => {
  offers.add(link, 5, [1])
  link.view.apply(aSnapshot([], { bootId: 'b' }), 0)
  expect(open()).toEqual([])
  // And what is offered to it from now on is its own.
  offers.add(link, 6, [2])
  expect(open()).toEqual([2])
})

test('shards that were given up again are dropped; a worker that is forgotten is offered nothing', () => {
  offers.add(link, 5, [1, 2])
  offers.drop(0, [1])
  expect(open()).toEqual([2])
  offers.drop(9, [2])
  expect(open()).toEqual([2])
  offers.forget(0)
  expect(open()).toEqual([])
})
