import { describe, expect, it } from 'vitest'
import { MEMBERS_WINDOW_MS } from '../../../src/bot-api/members-limit.ts'
import { GUILD, notSent, worlds } from './world.ts'

const { start } = worlds()

describe('members', () => {
  const ask = { query: '', limit: 0, nonce: 'one' }

  it('are requested on the shard of the guild', async () => {
    const world = await start()
    expect(await world.call('POST', `/guilds/${GUILD}/members`, ask)).toMatchObject({
      status: 200,
      body: { shardId: 3 },
    })
    expect(world.sent).toEqual([
      { shardIds: [3], payload: { op: 8, d: { guild_id: GUILD, ...ask } }, withinMs: 10_000 },
    ])
  })

  it('all of them once in 30 s, whichever route is taken; some as often as one likes', async () => {
    const world = await start()
    await world.call('POST', `/guilds/${GUILD}/members`, ask)
    await world.pass(1_000)
    const raw = { op: 8, d: { guild_id: GUILD, ...ask } }
    for (const again of [
      await world.call('POST', `/guilds/${GUILD}/members`, ask),
      await world.call('POST', `/guilds/${GUILD}/payloads`, raw),
      await world.call('POST', '/shards/3/payloads', raw),
    ]) {
      expect(again.status).toBe(429)
      expect(again.body).toMatchObject({ code: 'MEMBERS_LIMITED', retry_after: (MEMBERS_WINDOW_MS - 1_000) / 1_000 })
      expect(again.headers.get('retry-after')).toBe('30')
    }
    for (const some of [{ query: 'ne', limit: 5 }, { user_ids: ['7'] }, { query: '', limit: 1 }])
      expect((await world.call('POST', `/guilds/${GUILD}/members`, some)).status).toBe(200)
    const other = String((11n << 22n) + 5n)
    expect((await world.call('POST', `/guilds/${other}/members`, ask)).status).toBe(200)
    await world.pass(MEMBERS_WINDOW_MS - 1_000)
    expect((await world.call('POST', `/guilds/${GUILD}/members`, ask)).status).toBe(200)
  })

  it('all of them: the 30 s begin when the request leaves, and what waits holds back the next', async () => {
    const world = await start()
    const leave = new Promise<void>((leaves) => {
      world.send = async () => {
        leaves()
        await new Promise<void>((go) => world.clock.after(8_000, go))
        return { ok: true, value: { results: [{ shardId: 3, sent: true, waitedMs: 8_000 }] } }
      }
    })
    const first = world.call('POST', `/guilds/${GUILD}/members`, ask)
    await leave
    const early = await world.call('POST', `/guilds/${GUILD}/members`, ask)
    expect(early.body).toMatchObject({ code: 'MEMBERS_LIMITED', retry_after: (10_000 + MEMBERS_WINDOW_MS) / 1_000 })
    await world.pass(8_000)
    expect((await first).status).toBe(200)
    world.send = undefined
    await world.pass(MEMBERS_WINDOW_MS - 1)
    const again = await world.call('POST', `/guilds/${GUILD}/members`, ask)
    expect(again.body).toMatchObject({ code: 'MEMBERS_LIMITED', retry_after: 0.001 })
    await world.pass(1)
    expect((await world.call('POST', `/guilds/${GUILD}/members`, ask)).status).toBe(200)
  })

  it('do not count when the request was not sent, and count when nobody knows', async () => {
    const world = await start()
    world.send = async () => ({ ok: true, value: { results: [notSent(3, 'NOT_CONNECTED')] } })
    for (let times = 0; times < 2; times++)
      expect((await world.call('POST', `/guilds/${GUILD}/members`, ask)).body.code).toBe('NOT_CONNECTED')
    world.send = async () => ({ ok: false, failure: { code: 'UNKNOWN', message: 'the worker hung up' } })
    expect((await world.call('POST', `/guilds/${GUILD}/members`, ask)).body.code).toBe('OUTCOME_UNKNOWN')
    expect((await world.call('POST', `/guilds/${GUILD}/members`, ask)).body.code).toBe('MEMBERS_LIMITED')
  })

  it.each([
    {},
    { query: 'x' },
    { limit: 1 },
    { query: 'x', limit: 1, user_ids: ['1'] },
    { user_ids: [] },
    { guild: 1 },
  ])('are not requested by %j', async (body) => {
    const world = await start()
    expect(await world.call('POST', `/guilds/${GUILD}/members`, body)).toMatchObject({ status: 400 })
    expect(world.sent).toEqual([])
  })
})
