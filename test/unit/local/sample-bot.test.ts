import { afterEach, describe, expect, it } from 'vitest'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'

let bot: SampleBot | undefined
afterEach(() => bot?.close())

const line = (shardId: number, s: number, t = 'MESSAGE_CREATE') =>
  `{"workerId":0,"shardId":${shardId},"payload":{"t":"${t}","s":${s},"op":0,"d":{}}}\n`

describe('the sample bot', () => {
  it('counts what it acknowledges', async () => {
    bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'key' })
    const post = (body: string, authorization: string) =>
      fetch(bot?.url ?? '', {
        method: 'POST',
        body,
        headers: { authorization, 'content-type': 'application/x-ndjson' },
      })
    expect((await post(line(0, 1) + line(0, 2) + line(7, 1, 'TYPING_START'), 'key')).status).toBe(204)
    expect((await post(line(0, 3), 'wrong')).status).toBe(401)
    expect(bot.stats()).toMatchObject({
      events: 3,
      batches: 1,
      types: { MESSAGE_CREATE: 2, TYPING_START: 1 },
      sequences: { '0': 2, '7': 1 },
    })
  })
})
