import { describe, expect, it } from 'vitest'
import { aRecord } from '../manager/a-link.ts'
import { GUILD, worlds } from './world.ts'

const { start } = worlds()

describe('what is known', () => {
  it('of one shard, of the shard of a guild, and of all', async () => {
    const world = await start()
    const session = { sequence: 42, sessionId: 'secret-session', resumeGatewayUrl: 'wss://g' }
    const record = aRecord(3, {
      ...{ state: 'Resuming', rttMs: 41, identifiedMsAgo: 60_000, resumes: 2, closeCode: 1006, reason: 'reset' },
      session: { shardId: 3, totalShards: 4, lastContactMsAgo: 0, ...session },
    })
    world.worker(1, [record])
    await world.pass(120_000)
    const one = await world.call('GET', '/shards/3')
    expect(one.body).toEqual({
      ...{ shardId: 3, state: 'Resuming', latencyMs: 41, sequence: 42, identifies: 1, resumes: 2 },
      worker: { ordinal: 1, name: 'bot-10-1', connected: true },
      identifiedAt: '2025-12-31T23:59:00Z',
      lastClose: { code: 1006, reason: 'reset' },
    })
    expect((await world.call('GET', `/guilds/${GUILD}/shard`)).body).toEqual(one.body)
    const all = await world.call('GET', '/shards')
    expect(all.body).toMatchObject({
      totalShards: 4,
      shards: [{ shardId: 0 }, { shardId: 1 }, { state: 'Unassigned' }, {}],
    })
    expect(all.body.shards[3]).toEqual(one.body)
    expect(JSON.stringify([one.body, all.body])).not.toContain('secret-session')
  })

  it('in short: states, latency and workers', async () => {
    const world = await start()
    world.worker(0, [aRecord(0, { rttMs: 10 }), aRecord(1, { rttMs: 30 })])
    world.worker(1, [aRecord(2, { rttMs: 50 }), aRecord(3, { state: 'Identifying' })])
    expect((await world.call('GET', '')).body).toEqual({
      ...{ namespace: 'ns', name: 'bot', totalShards: 4, states: { Connected: 3, Identifying: 1 } },
      latencyMs: { median: 30, highest: 50 },
      workers: [
        { ordinal: 0, name: 'bot-10-0', connected: true, draining: false, shards: 2, latencyMs: 10 },
        { ordinal: 1, name: 'bot-10-1', connected: true, draining: false, shards: 2, latencyMs: 50 },
      ],
    })
  })

  it('is nothing before the number of shards is', async () => {
    const world = await start()
    world.totalShards = undefined
    expect(await world.call('GET', '/shards')).toMatchObject({ status: 503, body: { code: 'STARTING' } })
  })
})

it('what there is not is said in the same shape', async () => {
  const world = await start()
  for (const [method, path] of [
    ['GET', '/'],
    ['DELETE', '/v1/shardclusters/ns/bot'],
    ['GET', '/v1/shardclusters/ns/bot/nothing?token=secret'],
  ] as const) {
    const { status, body } = await world.raw(method, path)
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'NOT_FOUND' })
    expect(body.message).not.toContain('secret')
  }
})
