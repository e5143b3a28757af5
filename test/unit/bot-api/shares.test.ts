import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Release, Shares } from '../../../src/bot-api/shares.ts'
import { FROM_BOTS } from '../../../src/limits.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { KEY, PRESENCE, worlds } from './world.ts'

const { start } = worlds()

describe('Shares', () => {
  it('let a ShardCluster have its share whatever others take, and count what ends', async () => {
    const steps = fc.array(
      fc.record({ cluster: fc.constantFrom('a/1', 'a/2', 'b/1'), ends: fc.boolean(), afterMs: fc.nat(30) }),
      { maxLength: 600 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async (asked) => {
        const clock = new VirtualClock()
        const shares = new Shares(clock)
        const open = new Map<string, Release[]>()
        const taken = new Map<string, number>()
        for (const { cluster, ends, afterMs } of asked) {
          await clock.advance(afterMs)
          const own = open.get(cluster) ?? []
          open.set(cluster, own)
          if (ends) own.pop()?.()
          const budget = FROM_BOTS.requestsAtOnce + (clock.now() / 1_000) * FROM_BOTS.requestsPerSecond
          const before = taken.get(cluster) ?? 0
          let release: Release | undefined
          try {
            release = shares.take(cluster, undefined)
          } catch (error) {
            expect(error).toMatchObject({ code: 'RATE_LIMITED' })
          }
          // What one has left over for itself, nobody else can take away.
          if (
            before + 1 <= Math.floor(Math.min(FROM_BOTS.requestsAtOnce, budget)) &&
            own.length < FROM_BOTS.underWayAlways
          )
            expect(release).toBeDefined()
          if (!release) continue
          own.push(release)
          taken.set(cluster, before + 1)
          expect(own.length).toBeLessThanOrEqual(FROM_BOTS.underWay)
          expect(before + 1).toBeLessThanOrEqual(budget + 1e-6)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('end with the room of all, but for a few of each', async () => {
    const clock = new VirtualClock()
    const shares = new Shares(clock)
    const takes = async (cluster: string) => {
      for (let i = 0; ; i++) {
        await clock.advance(1_000 / FROM_BOTS.requestsPerSecond)
        try {
          shares.take(cluster, undefined)
        } catch {
          return i
        }
      }
    }
    const got: number[] = []
    for (let i = 0; i < 6; i++) got.push(await takes(`ns/${i}`))
    expect(got).toEqual([256, 256, 256, 1_000 - 3 * 256, FROM_BOTS.underWayAlways, FROM_BOTS.underWayAlways])
  })

  it('keep room for requests about all shards of other namespaces', () => {
    const shares = new Shares(new VirtualClock())
    const gets = (namespace: string) => {
      for (let i = 0; ; i++)
        try {
          shares.take(`${namespace}/${i}`, 'read')
        } catch {
          return i
        }
    }
    expect([gets('a'), gets('b')]).toEqual([FROM_BOTS.largeOfNamespace, FROM_BOTS.largeOfNamespace])
  })
})

describe('a ShardCluster', () => {
  it('has one page of shards under way, and the rest is told when to come back', async () => {
    const world = await start()
    world.totalShards = 2_500
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.call('GET', '/shards')))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([200, ...Array(7).fill(429)])
    const refused = answers.find(({ status }) => status === 429)
    expect(refused?.body).toMatchObject({ code: 'RATE_LIMITED', retry_after: 1, global: true })
    expect(refused?.headers.get('retry-after')).toBe('1')
    expect(world.asked.filter(({ type }) => type === 'SHARDS')).toHaveLength(1)
    expect((await world.call('GET', '/shards')).status).toBe(200)
  })

  it('gets some 50 answers a second, whatever it asks for, and its neighbour as many', async () => {
    const world = await start()
    await world.call('GET', '/shards/0')
    const burst = await Promise.all(Array.from({ length: 250 }, () => world.call('GET', '/shards/0')))
    expect(burst.filter(({ status }) => status === 200)).toHaveLength(FROM_BOTS.requestsAtOnce - 1)
    expect((await world.call('PUT', '/presence', PRESENCE)).body.code).toBe('RATE_LIMITED')
    await world.pass(1_000)
    const later = await Promise.all(Array.from({ length: 60 }, () => world.call('GET', '/shards/0')))
    expect(later.filter(({ status }) => status === 200)).toHaveLength(FROM_BOTS.requestsPerSecond)
    expect((await world.call('GET', '', undefined, `Bearer ${KEY}`)).status).toBe(429)
  })
})
