import { describe, expect, it } from 'vitest'
import { failure } from '../../../src/protocol/failures.ts'
import { aRecord } from '../manager/a-link.ts'
import { GUILD, notSent, PRESENCE, SOUNDS, worlds } from './world.ts'

const { start } = worlds()

describe('a payload', () => {
  it('goes to the shard, and waits 10 s or as long as it is told', async () => {
    const world = await start()
    const payload = { op: 31, d: { guild_ids: ['1'] } }
    expect(await world.call('POST', '/shards/2/payloads', payload)).toMatchObject({
      status: 200,
      body: { shardId: 2, waitedMs: 7 },
    })
    await world.call('POST', '/shards/0/payloads?withinMs=0', payload)
    expect(world.sent).toEqual([
      { shardIds: [2], payload, withinMs: 10_000 },
      { shardIds: [0], payload, withinMs: 0 },
    ])
  })

  it('goes to the shard of a guild', async () => {
    const world = await start()
    const d = { guild_id: GUILD, channel_id: '9', self_mute: true, self_deaf: false }
    expect((await world.call('POST', `/guilds/${GUILD}/payloads`, { op: 4, d })).body.shardId).toBe(3)
    expect(world.sent).toEqual([{ shardIds: [3], payload: { op: 4, d }, withinMs: 10_000 }])
  })

  it.each([0, 1, 2, 5, 6, 7, 9, 10, 11])('with op %i is refused: it is not for bots', async (op) => {
    const world = await start()
    const { status, body } = await world.call('POST', '/shards/0/payloads', { op, d: {} })
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'OPCODE_REFUSED' })
    expect(body.message).toContain('only 3, 4, 8, 31, 43 are.')
    expect(world.sent).toEqual([])
  })

  it('that Discord would close the connection for is refused, with the field that is wrong', async () => {
    const world = await start()
    const refused = async (payload: unknown) => (await world.call('POST', '/shards/3/payloads', payload)).body
    expect(await refused({ op: 3, d: { ...PRESENCE, status: 'away' } })).toMatchObject({
      code: 'INVALID_REQUEST',
      errors: [{ path: 'body.d.status' }],
    })
    expect(await refused({ op: 4, d: { guild_id: GUILD } })).toMatchObject({ errors: [{ path: 'body.d.channel_id' }] })
    expect(await refused({ op: 8, d: { guild_id: GUILD } })).toMatchObject({ code: 'INVALID_REQUEST' })
    expect(await refused({ op: 31, d: [] })).toMatchObject({ code: 'INVALID_REQUEST' })
    const large = { op: 43, d: { text: 'x'.repeat(4_096) } }
    expect(await refused(large)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    expect(await refused({ op: 43, d: { text: 'x'.repeat(70_000) } })).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    expect(await refused('{')).toMatchObject({ code: 'INVALID_REQUEST' })
    expect(world.sent).toEqual([])
  })

  it('for a guild of another shard is refused, and the right one is named', async () => {
    const world = await start()
    const d = { guild_id: GUILD, channel_id: null, self_mute: false, self_deaf: false }
    const { status, body } = await world.call('POST', '/shards/1/payloads', { op: 4, d })
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'WRONG_SHARD' })
    expect(body.message).toContain('is on shard 3, not on 1')
  })

  it.each(['4', '99999'])('for shard %s of 4 is refused', async (shardId) => {
    const world = await start()
    const { status, body } = await world.call('POST', `/shards/${shardId}/payloads`, SOUNDS)
    expect({ status, body }).toEqual({
      status: 404,
      body: { code: 'NO_SUCH_SHARD', message: `There is no shard ${shardId}: the bot has shards 0 to 3.` },
    })
  })

  it.each(['-1', 'x', '1.5', '00'])('for shard %j is no request', async (shardId) => {
    const { status, body } = await (await start()).call('POST', `/shards/${shardId}/payloads`, SOUNDS)
    expect({ status, path: body.errors[0].path }).toEqual({ status: 400, path: 'path.shardId' })
  })

  it.each(['-1', '65001', '1e3', ''])('that may wait %j ms is no request', async (withinMs) => {
    const world = await start()
    const answer = await world.call('POST', `/shards/0/payloads?withinMs=${withinMs}`, SOUNDS)
    expect({ status: answer.status, path: answer.body.errors[0].path }).toEqual({ status: 400, path: 'query.withinMs' })
  })

  it('that found no room in time is a 429 in the words of Discord, which says when there is', async () => {
    const world = await start()
    world.send = async () => ({ ok: true, value: { results: [notSent(0, 'SEND_LIMITED', 12_345)] } })
    const answer = await world.call('POST', '/shards/0/payloads', SOUNDS)
    expect(answer.status).toBe(429)
    expect(answer.headers.get('retry-after')).toBe('13')
    expect(answer.body).toMatchObject({ code: 'SEND_LIMITED', retry_after: 12.345, global: false })
  })

  it('that was not sent, or may have been, is told so', async () => {
    const world = await start()
    const codeWhen = async (send: typeof world.send) => {
      world.send = send
      const { status, body } = await world.call('POST', '/shards/0/payloads', SOUNDS)
      return [status, body.code]
    }
    const refusedBy = (code: Parameters<typeof failure>[0]) => async () =>
      ({ ok: false, failure: failure(code, 'no.') }) as const
    expect(await codeWhen(async () => ({ ok: true, value: { results: [notSent(0, 'NOT_CONNECTED')] } }))).toEqual([
      503,
      'NOT_CONNECTED',
    ])
    expect(await codeWhen(refusedBy('DRAINING'))).toEqual([503, 'UNASSIGNED'])
    expect(await codeWhen(refusedBy('UNKNOWN_TYPE'))).toEqual([501, 'WORKER_OUTDATED'])
    expect(await codeWhen(refusedBy('UNAUTHORIZED'))).toEqual([500, 'INTERNAL'])
    const hungUp = { ok: false, failure: { code: 'UNKNOWN', message: 'the worker hung up' } } as const
    expect(await codeWhen(async () => hungUp)).toEqual([502, 'OUTCOME_UNKNOWN'])
  })

  it('is taken back when the caller hangs up', async () => {
    const world = await start()
    const withdrawn = new Promise<void>((resolve) => {
      world.send = (_, signal) =>
        new Promise((answer) => {
          signal.addEventListener('abort', () => {
            resolve()
            answer({ ok: false, failure: { code: 'UNKNOWN', message: 'was given up' } })
          })
          caller.abort()
        })
    })
    const caller = new AbortController()
    const call = fetch(`${world.api.url}/v1/shardclusters/ns/bot/shards/0/payloads`, {
      method: 'POST',
      signal: caller.signal,
      headers: { authorization: 'Bearer the-key-of-bot', 'content-type': 'application/json' },
      body: JSON.stringify(SOUNDS),
    })
    await expect(call).rejects.toThrow()
    await withdrawn
  })
})

describe('presence', () => {
  it('reaches one shard, with what was left out filled in', async () => {
    const world = await start()
    expect((await world.call('PUT', '/shards/1/presence', { status: 'dnd' })).status).toBe(200)
    expect(world.sent).toEqual([
      {
        shardIds: [1],
        payload: { op: 3, d: { since: null, activities: [], status: 'dnd', afk: false } },
        withinMs: 10_000,
      },
    ])
  })

  it('reaches every shard, each worker with one command', async () => {
    const world = await start()
    expect(await world.call('PUT', '/presence', PRESENCE)).toMatchObject({
      status: 200,
      body: { sent: 4, notSent: [] },
    })
    const payload = { op: 3, d: PRESENCE }
    expect(world.sent).toEqual([
      { shardIds: [0, 1], payload, withinMs: 10_000 },
      { shardIds: [2, 3], payload, withinMs: 10_000 },
    ])
  })

  it('says which shards it did not reach; a refusal only when it reached none', async () => {
    const world = await start()
    world.worker(1, [aRecord(3)])
    world.send = async ({ shardIds }) => ({
      ok: true,
      value: {
        results: shardIds.map((shardId) =>
          shardId === 0 ? { shardId, sent: true, waitedMs: 0 } : notSent(shardId, 'NOT_CONNECTED'),
        ),
      },
    })
    const some = await world.call('PUT', '/presence', PRESENCE)
    expect(some).toMatchObject({ status: 207, body: { sent: 1 } })
    expect(some.body.notSent).toMatchObject([
      { shardId: 1, code: 'NOT_CONNECTED', retry_after: 1 },
      { shardId: 2, code: 'UNASSIGNED', retry_after: 1 },
      { shardId: 3, code: 'NOT_CONNECTED', retry_after: 1 },
    ])
    world.send = async ({ shardIds }) => ({
      ok: true,
      value: { results: shardIds.map((shardId) => notSent(shardId, 'SEND_LIMITED', 900)) },
    })
    expect(await world.call('PUT', '/presence', PRESENCE)).toMatchObject({ status: 429, body: { retry_after: 0.9 } })
  })
})

it('voice state goes to the shard of the guild', async () => {
  const world = await start()
  expect((await world.call('PUT', `/guilds/${GUILD}/voice-state`, { channel_id: null })).status).toBe(200)
  const d = { guild_id: GUILD, channel_id: null, self_mute: false, self_deaf: false }
  expect(world.sent).toEqual([{ shardIds: [3], payload: { op: 4, d }, withinMs: 10_000 }])
})
