import { expect, it } from 'vitest'
import { sendPayload } from '../../../sharder/send-payload.ts'
import type { ThreadCalls } from '../../../sharder/thread-wire.ts'
import { ThreadDied, type ThreadPool } from '../../../sharder/threads.ts'
import type { SendPayload } from '../../../src/protocol/send-payload.ts'

const never = new AbortController().signal
const command = (shardIds: number[], op = 3): SendPayload => ({
  ...{ type: 'SEND_PAYLOAD', shardIds, payload: { op, d: {} }, withinMs: 7 },
})

/** Two threads; the second is dead. */
function pool() {
  const asked: unknown[] = []
  const threads: ThreadPool = {
    count: 2,
    async call(index, _type, ask) {
      asked.push([index, ask])
      if (index === 1) throw new ThreadDied('the thread of this shard ended')
      const { shardIds } = ask as ThreadCalls['SEND']['ask']
      return shardIds.map((shardId) => ({ shardId, sent: true, waitedMs: 0 })) as never
    },
    close: async () => {},
  }
  return { threads, asked }
}

it('asks each thread for its shards alone, and answers in the order of the question', async () => {
  const { threads, asked } = pool()
  expect(await sendPayload(command([4, 0, 2]), { threads }, never)).toEqual({
    ok: true,
    body: { results: [4, 0, 2].map((shardId) => ({ shardId, sent: true, waitedMs: 0 })) },
  })
  expect(asked).toEqual([[0, { shardIds: [4, 0, 2], text: '{"op":3,"d":{}}', withinMs: 7 }]])
})

it('does not claim to know what became of a payload whose thread ended', async () => {
  const answer = await sendPayload(command([0, 1]), pool(), never)
  expect(answer).toMatchObject({ ok: true, body: { results: [{ sent: true }, { sent: false, code: 'INTERNAL' }] } })
  expect(JSON.stringify(answer)).toContain('Whether it was sent is not known: the thread of this shard ended.')
})

it('asks no thread for what no shard may send', async () => {
  const { threads, asked } = pool()
  for (const op of [0, 1, 2, 6, 7, 9, 10, 11])
    expect(await sendPayload(command([0], op), { threads }, never)).toMatchObject({
      ok: false,
      failure: { code: 'OPCODE_REFUSED', message: `op ${op} is not for bots to send: only 3, 4, 8, 31, 43 are.` },
    })
  expect(asked).toEqual([])
})
