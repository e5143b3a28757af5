import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BotApi, startBotApi } from '../../../src/bot-api/bot-api.ts'
import { ShardDirectory } from '../../../src/manager/shard-directory.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { aLink, aRecord } from '../manager/a-link.ts'

const clock = systemClock
let api: BotApi
let link: ReturnType<typeof aLink>
let sent: readonly number[][]
let withdrawn: boolean
beforeEach(async () => {
  api = await startBotApi({
    ...{ host: '127.0.0.1', port: 0, clock, random: Math.random, logger: pino({ level: 'silent' }) },
  })
  sent = []
  withdrawn = false
  link = aLink(0, clock, [aRecord(0, { identifiedMsAgo: 60_000 }), aRecord(1)], {
    send: ({ shardIds }, signal) => {
      sent = [...sent, [...shardIds]]
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          withdrawn = true
          resolve({ ok: false, failure: { code: 'UNKNOWN', message: 'was given up' } })
        })
        if (shardIds.includes(0))
          resolve({ ok: true, value: { results: shardIds.map((shardId) => ({ shardId, sent: true, waitedMs: 0 })) } })
      })
    },
  })
})
afterEach(async () => {
  await api.close()
  await link.stop()
})

const serve = () => {
  const directory = new ShardDirectory({
    ...{ links: new Map([[0, link]]), totalShards: () => 2, ownerOf: () => 0, clock },
  })
  return api.serve({
    find: (namespace, name) =>
      name === 'bot'
        ? { namespace, name, bot: 'ns/1', directory, key: { id: 'ns/bot/key', read: async () => 'the-key' } }
        : undefined,
  })
}
const call = async (path: string, init: RequestInit = {}) => {
  const headers = { authorization: 'Bearer the-key', 'content-type': 'application/json' }
  const response = await fetch(`${api.url}/v1/shardclusters/ns/bot${path}`, { headers, ...init })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
const PRESENCE = JSON.stringify({ status: 'idle' })

describe('the thread of the API for bots', () => {
  it('is a standby until it is given ShardClusters, and after', async () => {
    expect(await call('')).toMatchObject({ status: 503, body: { code: 'NOT_LEADING' } })
    const standDown = serve()
    await expect.poll(async () => (await call('')).status).toBe(200)
    standDown()
    await expect.poll(async () => (await call('')).body['code']).toBe('NOT_LEADING')
  })

  it('answers what the main thread knows, times of its own clock among it', async () => {
    serve()
    await expect.poll(async () => (await call('')).status).toBe(200)
    expect((await call('')).body).toMatchObject({ totalShards: 2, states: { Connected: 2 } })
    const { body } = await call('/shards/0')
    expect(body).toMatchObject({ shardId: 0, worker: { name: 'bot-10-0' } })
    const ago = Date.now() - Date.parse(String(body['identifiedAt']))
    expect(ago).toBeGreaterThanOrEqual(60_000)
    expect(ago).toBeLessThan(90_000)
    expect(await call('/shards/0/presence', { method: 'PUT', body: PRESENCE })).toMatchObject({ status: 200 })
    expect(sent).toEqual([[0]])
  })

  it('tells the main thread when the caller hangs up, and that takes back what was not sent', async () => {
    serve()
    await expect.poll(async () => (await call('')).status).toBe(200)
    const caller = new AbortController()
    const asked = call('/shards/1/presence', { method: 'PUT', body: PRESENCE, signal: caller.signal })
    await expect.poll(() => sent.length).toBe(1)
    expect(withdrawn).toBe(false)
    caller.abort()
    await expect(asked).rejects.toThrow()
    await expect.poll(() => withdrawn).toBe(true)
  })

  it('rejects when the port cannot be had', async () => {
    const port = Number(new URL(api.url).port)
    const taken = startBotApi({
      ...{ host: '127.0.0.1', port, clock, random: Math.random, logger: pino({ level: 'silent' }) },
    })
    await expect(taken).rejects.toThrow('EADDRINUSE')
  })

  it('takes back what waits when it ends', async () => {
    serve()
    await expect.poll(async () => (await call('')).status).toBe(200)
    const asked = call('/shards/1/presence', { method: 'PUT', body: PRESENCE }).catch(() => 'ended')
    await expect.poll(() => sent.length).toBe(1)
    await api.close()
    expect(await asked).toBe('ended')
    expect(withdrawn).toBe(true)
  })
})
