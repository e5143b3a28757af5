import { afterEach, describe, expect, test } from 'vitest'
import { Claims, checkClaim } from '../../../src/manager/claims.ts'
import { WorkerBoundError } from '../../../src/manager/worker-bounds.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord, aSession, aSnapshot } from './a-link.ts'

const made: WorkerLink[] = []
afterEach(async () => {
  for (const link of made.splice(0)) await link.stop()
})

const shards = (first: number, count: number) => Array.from({ length: count }, (_, i) => aRecord(first + i))
const world = (...held: number[]) => {
  const links = new Map<number, WorkerLink>()
  for (const [ordinal, count] of held.entries()) {
    const link = aLink(ordinal, new VirtualClock(), shards(0, count))
    links.set(ordinal, link)
    made.push(link)
  }
  return { links, claims: new Claims(links), link: (ordinal: number) => links.get(ordinal) as WorkerLink }
}

describe('a worker may say that it holds', () => {
  test('its range and the one before, of a spec that wanted more once', () => {
    const { claims, link } = world(0)
    claims.wanted(1_000, 100)
    expect(claims.of(link(0))).toMatchObject({ totalShards: 1_000, shards: 200 })
    claims.wanted(1_000, 300)
    claims.wanted(500, 10)
    expect(claims.of(link(0))).toMatchObject({ totalShards: 1_000, shards: 600 })
  })

  test('never more shards than there are, and as long as nobody knows how many, what the protocol takes', () => {
    const { claims, link } = world(0)
    expect(claims.of(link(0))).toMatchObject({ totalShards: 100_000, shards: 10_000 })
    claims.wanted(8, 500)
    expect(claims.of(link(0))).toMatchObject({ totalShards: 8, shards: 8 })
  })

  test('what the others leave: a shard is with two of them at most, while it moves', () => {
    const { claims, link } = world(8, 7, 0)
    claims.wanted(8, 8)
    const mayHold = claims.of(link(2))
    expect(mayHold.left()).toBe(1)
    checkClaim(link(2).view, aSnapshot(shards(0, 1)), mayHold)
    expect(() => checkClaim(link(2).view, aSnapshot(shards(0, 2)), mayHold)).toThrow(
      'the worker says that it holds 2 shards, and may hold 1',
    )
  })

  test('what it said before, however little the others leave', () => {
    const { claims, link } = world(8, 8, 8)
    claims.wanted(8, 8)
    checkClaim(link(2).view, aSnapshot(shards(0, 8)), claims.of(link(2)))
    checkClaim(link(2).view, { type: 'DELTA', shards: shards(0, 8), gone: [] }, claims.of(link(2)))
  })

  test.each([
    aSnapshot(shards(8, 1)),
    aSnapshot([], { sessions: [aSession(8)] }),
    { type: 'DELTA' as const, shards: shards(8, 1), gone: [] },
    { type: 'DELTA' as const, shards: [], gone: [8] },
    { type: 'DRAINED' as const, sessions: [aSession(8)] },
  ])('no shard that the ShardCluster has not: %j', (record) => {
    const { claims, link } = world(1)
    claims.wanted(8, 8)
    const check = () => checkClaim(link(0).view, record, claims.of(link(0)))
    expect(check).toThrow(WorkerBoundError)
    expect(check).toThrow('speaks of shard 8, and the ShardCluster has 8')
  })
})
