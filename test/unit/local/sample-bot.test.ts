import { afterEach, describe, expect, it } from 'vitest'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'

let bot: SampleBot | undefined
afterEach(() => bot?.close())

const line = (shardId: number, s: number, t = 'MESSAGE_CREATE', d: object = {}) =>
  `{"workerId":0,"shardId":${shardId},"payload":{"t":"${t}","s":${s},"op":0,"d":${JSON.stringify(d)}}}\n`

const post = (path: string, body: string, authorization = 'key') =>
  fetch(`${bot?.url}${path}`, {
    method: 'POST',
    body,
    headers: { authorization, 'content-type': 'application/x-ndjson' },
  })

describe('the sample bot', () => {
  it('counts what it acknowledges', async () => {
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' })
    expect((await post('/', line(0, 1) + line(0, 2) + line(7, 1, 'TYPING_START'))).status).toBe(204)
    expect((await post('/', line(0, 3), 'wrong')).status).toBe(401)
    expect(bot.stats()).toMatchObject({
      events: 3,
      batches: 1,
      unread: 0,
      types: { MESSAGE_CREATE: 2, TYPING_START: 1 },
      shards: { '0': { sequence: 2 }, '7': { sequence: 1 } },
    })
  })

  it('tells what is missing, what came twice and where a session began', async () => {
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' })
    const ready = line(0, 1, 'READY', { v: 10, session_id: 'abc' })
    await post('/', ready + line(0, 2) + ready + line(0, 5))
    await post('/', 'what is this\n')
    const stats = await (await fetch(`${bot.url}/stats`)).json()
    expect(stats).toMatchObject({ events: 4, sessions: 1, duplicates: 1, gaps: 1, lost: 2, unread: 1 })
    await post('/', line(0, 3) + line(0, 4))
    expect(bot.stats()).toMatchObject({ lost: 0 })
  })

  it('measures silences anew for whoever has the key', async () => {
    let now = 0
    const clock = { now: () => now, date: () => new Date(now), after: () => () => {} }
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' }, clock)
    await post('/', line(0, 1))
    now = 5_000
    expect(bot.stats().longestSilenceMs).toBe(5_000)
    expect((await post('/silences/restart', '', 'wrong')).status).toBe(401)
    expect((await post('/silences/restart', '')).status).toBe(204)
    expect(bot.stats().longestSilenceMs).toBe(0)
  })
})
