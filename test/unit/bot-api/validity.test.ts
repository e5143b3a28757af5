import { describe, expect, it } from 'vitest'
import { knownData } from '../../../src/bot-api/schemas.ts'
import { SENDABLE_OPCODES } from '../../../src/protocol/send-payload.ts'
import { worlds } from './world.ts'

const { start } = worlds()
const LAST = String(2n ** 64n - 1n)

describe('the id of a guild', () => {
  it.each(['1', '81384788765712384', LAST])('%s is one', async (id) => {
    const world = await start()
    expect((await world.call('GET', `/guilds/${id}/shard`)).status).toBe(200)
    const voice = { op: 4, d: { guild_id: id, channel_id: id } }
    expect((await world.call('POST', `/guilds/${id}/payloads`, voice)).status).toBe(200)
  })

  it.each([
    '0',
    '00',
    '01',
    '-1',
    '1.0',
    '1e5',
    String(2n ** 64n),
    '99999999999999999999',
    '100000000000000000000',
    '١',
  ])('%s is none, in the path and in a payload', async (id) => {
    const world = await start()
    const path = await world.call('GET', `/guilds/${encodeURIComponent(id)}/shard`)
    expect(path).toMatchObject({ status: 400, body: { errors: [{ path: 'path.guildId' }] } })
    for (const payload of [
      { op: 4, d: { guild_id: id, channel_id: null } },
      { op: 8, d: { guild_id: id, query: '', limit: 0 } },
      { op: 31, d: { guild_ids: [id] } },
      { op: 43, d: { guild_id: id, fields: ['status'] } },
    ])
      expect((await world.call('POST', '/shards/0/payloads', payload)).status).toBe(400)
    expect(world.sent).toEqual([])
  })
})

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
const activity = (more: object) => ({ op: 3, d: { status: 'idle', activities: [{ name: 'x', type: 0, ...more }] } })

describe('a payload', () => {
  it('of each opcode that may be sent has a schema', () => {
    expect(Object.keys(knownData).map(Number)).toEqual(Object.values(SENDABLE_OPCODES))
  })

  it.each([
    { op: 31, d: { guild_ids: ['1', LAST] } },
    { op: 43, d: { guild_id: '1', fields: ['status', 'voice_start_time'] } },
    activity({ url: 'https://x', state: 'y', timestamps: { start: 1 }, party: { size: [1, 5] }, buttons: ['a', 'b'] }),
  ])('that Discord documents is sent: %j', async (payload) => {
    const world = await start()
    expect((await world.call('POST', '/shards/0/payloads', payload)).status).toBe(200)
    expect(world.sent[0]?.payload).toMatchObject(payload)
  })

  it.each([
    { op: 31, d: {} },
    { op: 31, d: { guild_id: '1' } },
    { op: 31, d: { guild_ids: [] } },
    { op: 31, d: { guild_ids: [{}] } },
    { op: 31, d: { guild_ids: ['1'], more: nested(5) } },
    { op: 43, d: {} },
    { op: 43, d: { guild_id: {}, fields: ['status'] } },
    { op: 43, d: { guild_id: '1', fields: [] } },
    { op: 43, d: { guild_id: '1', fields: 'status' } },
    { op: 43, d: { guild_id: '1', fields: [nested(3)] } },
    { op: 8, d: { guild_id: '1', user_ids: [nested(4)] } },
    activity({ more: nested(3) }),
    activity({ more: { a: { b: { c: 1 } } } }),
    { op: 3, d: { status: 'idle', since: 1e300 } },
    { op: 3, d: { status: 'idle', activities: Array.from({ length: 101 }, () => ({ name: '', type: 0 })) } },
  ])('that Discord would close the connection for is not: %j', async (payload) => {
    const world = await start()
    const { status, body } = await world.call('POST', '/shards/0/payloads', payload)
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'INVALID_REQUEST' })
    expect(body.errors[0].path).toMatch(/^body\.d/)
    expect(world.sent).toEqual([])
  })
})
