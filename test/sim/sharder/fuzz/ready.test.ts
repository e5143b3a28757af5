import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { Random } from '../../../support/random.ts'
import { until } from '../../../support/sharder.ts'
import { changed, type GatewayEvent } from './fault.ts'
import { Rig } from './rig.ts'

let rig: Rig

afterEach(() => rig.close())

const HELLO = '{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}'

/** READY with another field in `d`; undefined removes it. */
const withField = (name: string, value: unknown) => (ready: Buffer) => {
  const { d } = JSON.parse(ready.toString()) as GatewayEvent
  return changed(ready, { d: { ...d, [name]: value } })
}

type Change = (ready: Buffer) => Buffer | string

it('an IDENTIFY whose READY has no session is answered with the truth, and the next one works', async () => {
  const noData = [null, 'text', 7, [], undefined].map(
    (d): Change =>
      (ready) =>
        changed(ready, { d }),
  )
  const noSession = [undefined, null, 7, '', {}, 'x'.repeat(257)].map((id): Change => withField('session_id', id))
  const noReady: readonly Change[] = [
    (ready) => ready.subarray(0, -3),
    (ready) => changed(ready, { t: 'RESUMED' }),
    () => Buffer.alloc(0),
  ]
  const useless = [...noData, ...noSession, ...noReady]
  rig = await Rig.start(new Random(1), 'None', useless.length + 1)
  const { worker, hostile, discord } = rig
  const untouched = useless.length
  expect(await rig.identify(untouched)).toMatchObject({ ok: true })
  for (const [shardId, change] of useless.entries()) {
    hostile.script(shardId).onReady = (ready) => [change(ready)]
    expect(await rig.identify(shardId)).toMatchObject({ ok: false, failure: { code: 'CLOSED', closeCode: 4000 } })
    await worker.until(() => {
      const shard = worker.shard(shardId)
      return shard?.state === 'Unidentified' && shard.identifies === 1
    })
    expect(worker.shard(shardId)?.session).toBeUndefined()
    hostile.script(shardId).onReady = undefined
    // Its bucket is free again after the window of this Discord.
    await sleep(2 * discord.settings.times.identifyWindowMs)
    expect(await rig.identify(shardId)).toMatchObject({ ok: true })
  }
  const counted = Object.fromEntries(await rig.faultsCounted())
  expect(counted).toEqual({ field: noData.length + noSession.length, payload: noReady.length })
  expect(discord.stats()).toMatchObject({ identifies: 2 * useless.length + 1, resumes: 0 })
  expect(worker.shard(untouched)).toMatchObject({ state: 'Connected', identifies: 1, resumes: 0 })
})

it('a session whose READY has no URL to resume at is resumed by the front door', async () => {
  const urls = [undefined, null, 7, '', 'no URL', 'http://127.0.0.1:1/', 'javascript:0', `wss://${'x'.repeat(1_100)}`]
  rig = await Rig.start(new Random(1), 'ZlibStream', urls.length)
  const { worker, hostile, discord } = rig
  for (const [shardId, url] of urls.entries()) {
    hostile.script(shardId).onReady = (ready) => [withField('resume_gateway_url', url)(ready)]
    expect(await rig.identify(shardId)).toMatchObject({ ok: true })
  }
  expect(await rig.faultsCounted()).toEqual(new Map([['field', urls.length]]))
  discord.control('drop-sockets', {})
  await worker.until(() =>
    urls.every((_, shardId) => worker.shard(shardId)?.resumes === 1 && worker.shard(shardId)?.state === 'Connected'),
  )
  for (const shardId of urls.keys()) expect(worker.shard(shardId)?.session?.resumeGatewayUrl).toBe(hostile.url)
  expect(discord.stats()).toMatchObject({ identifies: urls.length, resumes: urls.length, resumesRefused: 0 })
})

it('another HELLO between IDENTIFY and READY sends no second IDENTIFY', async () => {
  rig = await Rig.start(new Random(1), 'ZstdStream', 1)
  const { worker, hostile, discord, bot } = rig
  hostile.script(0).onReady = (ready) => [HELLO, HELLO, ready]
  expect(await rig.identify(0)).toMatchObject({ ok: true })
  discord.control('burst', { count: 10 })
  await until(() => bot.of(0).length >= 11)
  expect(await rig.faultsCounted()).toEqual(new Map([['opcode', 2]]))
  expect(worker.shard(0)).toMatchObject({ state: 'Connected', identifies: 1, resumes: 0 })
  expect(discord.stats()).toMatchObject({ identifies: 1, receivedOps: { 2: 1 }, closes: {} })
})
