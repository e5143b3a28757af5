import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bot, eventually, type Operator, type OperatorWorld, startOperatorWorld } from './world.ts'

let world: OperatorWorld
let bot: Bot
let first: Operator
let second: Operator
let neighbour: Bot
let stranger: Bot
beforeAll(async () => {
  world = await startOperatorWorld()
  bot = await world.bot()
  neighbour = await world.bot()
  stranger = await world.bot()
  const watched = { SHARDCLUSTER_WATCH_NAMESPACES: `${bot.namespace},${neighbour.namespace}` }
  first = await world.operator({ POD_NAME: 'first', ...watched })
  await eventually(async () => expect(await leads(first)).toBe(true))
  second = await world.operator({ POD_NAME: 'second', ...watched })
  await bot.secret()
  await bot.create()
  await bot.wait('Ready')
})
afterAll(() => world?.close())

const leads = async (operator: Operator) =>
  [...(await operator.metric('leader_election_master_status')).values()][0] === 1
const workers = () => [...world.kubelet.workers.values()]

describe('two operators', () => {
  it('do not both lead', async () => {
    await eventually(async () => expect(await leads(second)).toBe(false))
    expect(await leads(first)).toBe(true)
    expect(workers().map(({ watchers }) => watchers)).toEqual([1, 1])
  })

  it('follow one another without a shard or the status noticing', async () => {
    const before = { discord: bot.discord(), status: (await bot.get()).status, events: await bot.events() }
    const epochs = workers().map(({ epoch }) => epoch)
    await first.stop()
    await eventually(async () => expect(await leads(second)).toBe(true))
    // Later epochs than the first one's: the second has spoken to every worker.
    await eventually(() => {
      for (const [index, worker] of workers().entries())
        expect(worker.epoch).toBeGreaterThan((epochs[index] ?? 0) + 1e6)
    })
    // And it has looked at what they said, twice.
    const looks = async () =>
      [...(await second.metric('controller_runtime_reconcile_time_seconds_count')).values()][0] ?? 0
    for (let times = 0; times < 2; times++) {
      const from = await looks()
      for (const worker of workers()) worker.report(worker.sinks)
      await eventually(async () => expect(await looks()).toBeGreaterThan(from))
    }
    const { sessionStart: _, ...counts } = before.discord
    expect(bot.discord()).toMatchObject(counts)
    expect((await bot.get()).status?.conditions).toEqual(
      before.status?.conditions?.map((condition) => ({ ...condition, message: expect.any(String) })),
    )
    expect(await bot.events()).toEqual(before.events)
  })

  it('are alike: the second heals and scales as the first did, without an IDENTIFY', async () => {
    await bot.kubectl('scale', 'shc/bot', '--replicas=4')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ]),
    )
    await bot.kubectl('delete', 'pod/bot-8-3', '--wait=false')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
      ]),
    )
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ]),
    )
    await eventually(() => expect(bot.discord().connectedShards).toBe(8))
    expect(bot.discord()).toMatchObject({ identifies: 8, resumesRefused: 0, violationDetails: [] })
  })

  it('look after the namespaces they were given, and no others', async () => {
    for (const { secret, create } of [stranger, neighbour]) {
      await secret()
      await create()
    }
    await neighbour.wait('Ready')
    expect((await stranger.get()).status).toEqual({ observedGeneration: 0 })
  })
})
