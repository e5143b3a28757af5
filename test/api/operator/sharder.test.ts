import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'
import { SharderProcess } from './sharder-process.ts'
import { type Bot, eventually, type OperatorWorld, startWorldOf } from './world.ts'

let world: OperatorWorld<SharderProcess>
let bot: Bot
let sink: SampleBot
beforeAll(async () => {
  world = await startWorldOf((start) => SharderProcess.start(start))
  sink = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'events-key' })
  await world.operator()
  bot = await world.bot()
  await bot.secret({ 'events-authorization': 'events-key' })
  await bot.create((spec) => {
    spec['events'] = [{ name: 'bot', http: { url: `${sink.url}/`, authorizationSecretRef: { name: 'bot' } } }]
  })
  await bot.wait('Ready', 'True', 90)
})
afterAll(async () => {
  await world?.close()
  await sink?.close()
})

const healthy = { identifies: 8, resumesRefused: 0, sessionsExpired: 0, violationDetails: [] }

describe('the operator with real sharders', () => {
  it('has every shard connected, and their events at the bot', async () => {
    expect(await bot.held()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
    expect(bot.discord()).toMatchObject({ ...healthy, connectedShards: 8 })
    await eventually(() => expect(sink.stats().types['READY']).toBe(8))
    expect((await bot.conditions()).Degraded).toMatchObject({ status: 'False' })
  })

  it('scales up and down without an IDENTIFY, and takes no pod that holds shards', async () => {
    await bot.kubectl('scale', 'shc/bot', '--replicas=3')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3, 4],
        [5, 6, 7],
      ]),
    )
    await bot.wait('Progressing', 'False')
    await bot.kubectl('scale', 'shc/bot', '--replicas=1')
    await eventually(async () => expect(await bot.held()).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]))
    await eventually(() => expect(world.kubelet.removed.length).toBe(2))
    expect(world.kubelet.removed.map(({ held }) => held)).toEqual([[], []])
    await bot.wait('Ready')
    await eventually(() => expect(bot.discord()).toMatchObject({ ...healthy, connectedShards: 8 }))
  })

  it('resumes what a killed worker held', async () => {
    await bot.kubectl('scale', 'shc/bot', '--replicas=2')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]),
    )
    await bot.wait('Ready')
    const { resumes } = bot.discord()
    await bot.kubectl('delete', 'pod/bot-8-0', '--wait=false')
    await eventually(() =>
      expect(bot.discord()).toMatchObject({ ...healthy, resumes: resumes + 4, connectedShards: 8 }),
    )
    await bot.wait('Ready')
    expect(await bot.held()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
  })
})
