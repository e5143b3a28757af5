import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PAUSE_ROLLOUT_ANNOTATION } from '../../../src/domain/rollout.ts'
import { type Bot, eventually, type OperatorWorld, startOperatorWorld, startReadyBot } from './world.ts'

let world: OperatorWorld
let bot: Bot
beforeAll(async () => {
  world = await startOperatorWorld()
  ;({ bot } = await startReadyBot(world))
})
afterAll(() => world?.close())

/** The image of each pod's container, by ordinal. */
const images = async () =>
  (await bot.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[0].image}')).trim().split(' ')
const setImage = (image: string) =>
  bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', JSON.stringify({ spec: { worker: { image } } }))
const undisturbed = { identifies: 8, connectedShards: 8, resumesRefused: 0, violationDetails: [] }

describe('another image', () => {
  it('replaces no pod while the rollout is paused, and says so; scaling goes on', async () => {
    await bot.kubectl('annotate', 'shc/bot', `${PAUSE_ROLLOUT_ANNOTATION}=true`)
    await setImage('shardcluster:next')
    await eventually(async () => {
      const { Progressing } = await bot.conditions()
      expect(Progressing).toMatchObject({ status: 'True', reason: 'RollingOut' })
      expect(Progressing.message).toContain('rollout_is_not_paused')
    })
    expect(await images()).toEqual(['shardcluster:test', 'shardcluster:test'])
    await bot.kubectl('scale', 'shc/bot', '--replicas=3')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3, 4],
        [5, 6, 7],
      ]),
    )
    // Made after the template changed, so it is of the next.
    expect(await images()).toEqual(['shardcluster:test', 'shardcluster:test', 'shardcluster:next'])
    expect(bot.discord()).toMatchObject(undisturbed)
  })

  it('replaces worker by worker when it is paused no more, without an IDENTIFY', async () => {
    await bot.kubectl('annotate', 'shc/bot', `${PAUSE_ROLLOUT_ANNOTATION}-`)
    await eventually(async () => expect(new Set(await images())).toEqual(new Set(['shardcluster:next'])))
    await bot.wait('Progressing', 'False')
    await bot.wait('Ready')
    expect((await bot.get()).status).toMatchObject({ workers: 3, updatedWorkers: 3 })
    await eventually(() => expect(bot.discord()).toMatchObject(undisturbed))
  })
})
