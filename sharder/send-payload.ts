import type { Failure } from '../src/protocol/failures.ts'
import { type PayloadSent, payloadProblem, type SendPayload, type SendResult } from '../src/protocol/send-payload.ts'
import type { ThreadPool } from './threads.ts'

/**
 * Carries out SEND_PAYLOAD: what no shard may send is refused as a whole, else each shard's thread says what became of
 * it. Of shards whose thread ended meanwhile nobody knows, and the answer says so.
 */
export async function sendPayload(
  { shardIds, payload, withinMs }: SendPayload,
  { threads }: { readonly threads: ThreadPool },
  signal: AbortSignal,
): Promise<{ readonly ok: true; readonly body: PayloadSent } | { readonly ok: false; readonly failure: Failure }> {
  const text = JSON.stringify(payload)
  const problem = payloadProblem(payload, text)
  if (problem) return { ok: false, failure: problem }
  const answers = await Promise.all(
    Array.from({ length: threads.count }, async (_, index): Promise<readonly SendResult[]> => {
      const own = shardIds.filter((shardId) => shardId % threads.count === index)
      if (own.length === 0) return []
      return threads
        .call(index, 'SEND', { shardIds: own, text, withinMs }, signal)
        .catch((error: Error) => own.map((shardId) => unknown(shardId, error.message)))
    }),
  )
  const byShard = new Map(answers.flat().map((result) => [result.shardId, result]))
  const results = shardIds.map((shardId) => byShard.get(shardId) ?? unknown(shardId, 'its thread said nothing'))
  return { ok: true, body: { results } }
}

const unknown = (shardId: number, why: string): SendResult => ({
  shardId,
  sent: false,
  code: 'INTERNAL',
  message: `Whether it was sent is not known: ${why}.`,
})
