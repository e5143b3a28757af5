import { afterEach, describe, expect, it } from 'vitest'
import { sampleBotCommand } from '../../../src/cli/sample-bot-command.ts'
import { KeyMissingError, type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { dial, drip } from '../../support/raw-http.ts'

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
    const stats = await (await fetch(`${bot.url}/stats`, { headers: { authorization: 'key' } })).json()
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

  it('shows what it has seen to whoever has the key, and to nobody else', async () => {
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' })
    for (const path of ['/stats', '/', '/nowhere']) expect((await fetch(`${bot.url}${path}`)).status).toBe(401)
    expect((await fetch(`${bot.url}/healthz`)).status).toBe(200)
  })

  it('without a key it is for this machine alone', async () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.1'])
      await expect(startSampleBot({ host, port: 0, authorization: undefined })).rejects.toThrow(KeyMissingError)
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: undefined })
    expect((await fetch(`${bot.url}/stats`)).status).toBe(200)
    const flags = sampleBotCommand().exitOverride()
    flags.parseOptions([])
    expect(flags.opts()['host']).toBe('127.0.0.1')
  })

  it('ends what comes a byte at a time, with the key and without', async () => {
    const short = { requestMs: 300, headersMs: 200, checkMs: 50, lingerMs: 200 }
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' }, systemClock, short)
    for (const [key, status] of [
      ['key', 408],
      ['wrong', 401],
    ] as const) {
      const head = `POST / HTTP/1.1\r\nhost: x\r\nauthorization: ${key}\r\ncontent-type: application/x-ndjson\r\n`
      const { socket, seen, ended } = dial(bot.url, `${head}content-length: 1000000\r\n\r\n`)
      drip(socket)
      await ended
      expect(seen.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    }
  })

  it('keeps a bounded account of what it is sent', async () => {
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' })
    const name = (i: number) => `T_${String(i).replaceAll(/\d/g, (digit) => 'ABCDEFGHIJ'[Number(digit)] ?? '')}`
    await post('/', Array.from({ length: 600 }, (_, i) => line(0, i + 1, name(i))).join(''))
    await post('/', line(100_000, 1) + line(99_999_999, 1) + line(99_999, 1))
    const { types, unread, shards, events } = bot.stats()
    expect([Object.keys(types).length, types['OTHER'], unread, events]).toEqual([501, 101, 2, 601])
    expect(Object.keys(shards)).toEqual(['0', '99999'])
    const json = { authorization: 'key', 'content-type': 'application/json' }
    expect((await fetch(bot.url, { method: 'POST', body: '{}', headers: json })).status).toBe(415)
  })
})
