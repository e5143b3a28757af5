import { MAX_FOREIGN_TEXT } from '../limits.ts'
import type { FailureCode } from '../protocol/failures.ts'
import type { Payload, SendResult } from '../protocol/send-payload.ts'
import type { Answer } from './ports.ts'
import type { ShardDirectory } from './shard-directory.ts'
import type { WorkerLink } from './worker-link.ts'

/**
 * Why a payload was not sent, besides what a worker says.
 * - `UNASSIGNED`: no worker holds the shard now: it moves, or its worker is not there yet.
 * - `WORKER_AWAY`: its worker is not heard.
 * - `UNKNOWN`: the worker was told, and nobody knows what it did.
 */
export type UndeliveredCode = FailureCode | 'UNASSIGNED' | 'WORKER_AWAY' | 'UNKNOWN'

/** What became of a payload on one shard. */
export type Delivery =
  | { readonly shardId: number; readonly sent: true; readonly waitedMs: number }
  | {
      readonly shardId: number
      readonly sent: false
      readonly code: UndeliveredCode
      readonly message: string
      readonly retryAfterMs?: number | undefined
    }

/** A payload of the bot's and where it shall go. */
export interface Errand {
  /** Each below `totalShards`, none twice. */
  readonly shardIds: readonly number[]
  readonly payload: Payload
  /** How long it may wait for the send limit of its shard, in milliseconds. */
  readonly withinMs: number
}

/** A worker that has not answered so long after the deadline is not waited for, in milliseconds. */
const ANSWER_MS = 5_000

/**
 * Carries payloads to the workers that hold their shards: one command a worker. Always resolves, with what became of it
 * on each shard, in their order. Aborting takes back what was not sent.
 */
export async function deliver(directory: ShardDirectory, errand: Errand, signal: AbortSignal): Promise<Delivery[]> {
  const outcomes = new Map<number, Delivery>()
  const errands = new Map<WorkerLink, number[]>()
  for (const shardId of errand.shardIds) {
    const found = holderOf(directory, shardId)
    if ('code' in found) outcomes.set(shardId, { shardId, sent: false, ...found })
    else {
      const shardIds = errands.get(found.link)
      if (shardIds) shardIds.push(shardId)
      else errands.set(found.link, [shardId])
    }
  }
  const limit = AbortSignal.any([signal, AbortSignal.timeout(errand.withinMs + ANSWER_MS)])
  await Promise.all(
    [...errands].map(async ([link, shardIds]) => {
      const { payload, withinMs } = errand
      const answer = link.judged(await link.ref.port.send({ shardIds, payload, withinMs }, limit))
      const asked = new Set(shardIds)
      for (const delivery of deliveriesOf(answer, shardIds, link.ref.name))
        if (asked.has(delivery.shardId)) outcomes.set(delivery.shardId, brief(delivery))
    }),
  )
  return errand.shardIds.map((shardId) => outcomes.get(shardId) ?? unknown(shardId, 'its worker did not name it'))
}

type Holder = { readonly link: WorkerLink } | { readonly code: UndeliveredCode; readonly message: string }

function holderOf(directory: ShardDirectory, shardId: number): Holder {
  const place = directory.placeOf(shardId)
  if (place?.link.view.connected) return { link: place.link }
  const link = place?.link ?? directory.ownerOf(shardId)
  if (link && !link.view.connected)
    return {
      code: 'WORKER_AWAY',
      message: `The worker ${link.ref.name} of shard ${shardId} is not heard${why(link)}; nothing was sent.`,
    }
  return {
    code: 'UNASSIGNED',
    message: `No worker holds shard ${shardId} now: it is on its way from one to another, or its worker is not there yet; nothing was sent.`,
  }
}

const why = ({ lastError }: WorkerLink): string => (lastError === undefined ? '' : ` (${lastError})`)

function deliveriesOf(
  answer: Answer<{ readonly results: readonly SendResult[] }>,
  shardIds: readonly number[],
  worker: string,
): readonly Delivery[] {
  if (answer.ok)
    return answer.value.results.map((result) =>
      result.sent || result.code !== 'INTERNAL' ? result : { ...result, code: 'UNKNOWN' },
    )
  const { code, message } = answer.failure
  if (code === 'UNKNOWN') return shardIds.map((shardId) => unknown(shardId, message))
  return shardIds.map((shardId) => ({ shardId, sent: false, code, message: `The worker ${worker}: ${message}` }))
}

/** A worker's text is as long as it likes, and there is one for each shard. */
const brief = (delivery: Delivery): Delivery =>
  delivery.sent || delivery.message.length <= MAX_FOREIGN_TEXT
    ? delivery
    : { ...delivery, message: delivery.message.slice(0, MAX_FOREIGN_TEXT) }

const unknown = (shardId: number, reason: string): Delivery => ({
  ...{ shardId, sent: false, code: 'UNKNOWN' },
  message: `Whether it was sent on shard ${shardId} is not known: ${reason}.`,
})
