import { describe, expect, it } from 'vitest'
import { FROM_BOTS, FROM_THREADS, MAX_SHARDS } from '../../../src/limits.ts'
import { ShardDirectory } from '../../../src/manager/shard-directory.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord } from '../manager/a-link.ts'
import { notSent, PRESENCE, worlds } from './world.ts'

const { start } = worlds()

describe('pages of shards', () => {
  it('follow one another until every shard was named once', async () => {
    const world = await start()
    world.totalShards = 2_500
    const ids: number[] = []
    const sizes: number[] = []
    for (let next: number | undefined, first = true; first || next !== undefined; first = false) {
      const { status, body } = await world.call('GET', `/shards${next === undefined ? '' : `?after=${next}`}`)
      expect({ status, totalShards: body.totalShards }).toEqual({ status: 200, totalShards: 2_500 })
      sizes.push(body.shards.length)
      ids.push(...body.shards.map(({ shardId }: { shardId: number }) => shardId))
      next = body.next
    }
    expect(sizes).toEqual([1_000, 1_000, 500])
    expect(ids).toEqual(Array.from({ length: 2_500 }, (_, shardId) => shardId))
    expect((await world.call('GET', '/shards?limit=2&after=2497')).body).toMatchObject({
      shards: [{ shardId: 2_498 }, { shardId: 2_499 }],
    })
    expect((await world.call('GET', '/shards?after=2499')).body).toEqual({ totalShards: 2_500, shards: [] })
  })

  it('are as they were for whoever fits on one', async () => {
    const { body } = await (await start()).call('GET', '/shards')
    expect(Object.keys(body).sort()).toEqual(['shards', 'totalShards'])
  })

  it.each(['limit=0', 'limit=1001', 'limit=x', 'after=-1', 'after=1.5', 'page=2', 'limit=1&limit=2'])(
    'are not asked for with %s',
    async (query) => {
      const { status, body } = await (await start()).call('GET', `/shards?${query}`)
      expect({ status, code: body.code }).toEqual({ status: 400, code: 'INVALID_REQUEST' })
    },
  )
})

describe('a ShardCluster of 100,000 shards', () => {
  it('is counted in steps, and in none where nothing runs', () => {
    const clock = new VirtualClock()
    const directory = (links: ReadonlyMap<number, ReturnType<typeof aLink>>) =>
      new ShardDirectory({ links, totalShards: () => MAX_SHARDS, ownerOf: () => 0, clock })
    const stepsOf = (steps: ReturnType<ShardDirectory['census']>) => {
      for (let count = 1; ; count++) {
        const { done, value } = steps.next()
        if (done) return { count, states: value.states }
      }
    }
    const { shardsPerTurn } = FROM_THREADS
    expect(stepsOf(directory(new Map()).census(MAX_SHARDS, shardsPerTurn))).toEqual({
      count: 1,
      states: { Unassigned: MAX_SHARDS },
    })
    const link = aLink(
      0,
      clock,
      Array.from({ length: 5_000 }, (_, shardId) => aRecord(shardId)),
    )
    expect(stepsOf(directory(new Map([[0, link]])).census(MAX_SHARDS, shardsPerTurn))).toEqual({
      count: 1 + 5_000 / shardsPerTurn,
      states: { Connected: 5_000, Unassigned: MAX_SHARDS - 5_000 },
    })
    return link.stop()
  })

  it('is counted once a second, however many ask, and no question is about more than a page', async () => {
    const world = await start()
    world.totalShards = MAX_SHARDS
    const many = () => Promise.all(Array.from({ length: 50 }, () => world.call('GET', '')))
    const counted = () => world.asked.filter(({ type }) => type === 'CENSUS').length
    for (const { status, body } of await many())
      expect({ status, states: body.states }).toEqual({
        status: 200,
        states: { Connected: 4, Unassigned: MAX_SHARDS - 4 },
      })
    await world.pass(FROM_BOTS.summaryMs - 1)
    await many()
    expect(counted()).toBe(1)
    await world.pass(1)
    await many()
    expect(counted()).toBe(2)
    await world.pass(5_000)
    const presence = await world.call('PUT', '/presence', PRESENCE)
    expect(presence).toMatchObject({
      status: 207,
      body: { sent: 4, notNamed: MAX_SHARDS - 4 - FROM_BOTS.namedNotSent },
    })
    expect(presence.body.notSent).toHaveLength(FROM_BOTS.namedNotSent)
    const sends = world.asked.flatMap((question) => (question.type === 'SEND' ? [question.errand.shardIds.length] : []))
    expect(sends).toEqual(Array(MAX_SHARDS / FROM_BOTS.pageShards).fill(FROM_BOTS.pageShards))
  })

  it('asks no worker about shards twice, and believes none about shards it was not asked for', async () => {
    const world = await start()
    world.send = async () => ({ ok: true, value: { results: [0, 1, 2, 3].map((id) => notSent(id, 'NOT_CONNECTED')) } })
    expect((await world.call('PUT', '/shards/1/presence', PRESENCE)).body.code).toBe('NOT_CONNECTED')
    world.send = async () => ({ ok: true, value: { results: [{ shardId: 3, sent: true, waitedMs: 0 }] } })
    expect((await world.call('PUT', '/shards/1/presence', PRESENCE)).body.code).toBe('OUTCOME_UNKNOWN')
  })
})
