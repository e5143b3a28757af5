import { z } from 'zod'
import { FROM_WORKERS, MAX_FOREIGN_TEXT, MAX_SHARDS } from '../limits.ts'
import { anyShardId, textFor, upTo } from './bounded.ts'
import { type Failure, failure, failureCodeSchema } from './failures.ts'

/**
 * What a bot may send: presence (3), voice state (4), request guild members (8), soundboard sounds (31), channel info
 * (43). Heartbeat, IDENTIFY and RESUME (1, 2, 6) are the shard's own: one of them out of turn costs the session.
 * https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-opcodes
 */
export const SENDABLE_OPCODES = { presence: 3, voiceState: 4, requestMembers: 8, sounds: 31, channelInfo: 43 } as const

/** Discord closes with 4002 beyond this many bytes: https://discord.com/developers/docs/events/gateway#sending-events */
export const MAX_PAYLOAD_BYTES = 4096

/** A payload may wait this long for its shard's send limit at most, in milliseconds: one whole window and a little. */
export const MAX_SEND_WAIT_MS = 65_000

/** A gateway payload on its way to Discord. */
export const payloadSchema = z.object({ op: z.int(), d: z.record(z.string(), z.unknown()) })
export type Payload = z.infer<typeof payloadSchema>

const shardId = z.int().min(0).max(MAX_SHARDS)

/**
 * Send one payload on each of these shards, within `withinMs`. A request that is closed takes back what was not sent.
 * Has no epoch: it changes nothing that a manager decides.
 */
export const sendPayload = z.object({
  type: z.literal('SEND_PAYLOAD'),
  shardIds: z.array(shardId).min(1).max(MAX_SHARDS),
  payload: payloadSchema,
  /** How long it may wait for the shard's send limit, in milliseconds. */
  withinMs: z.number().min(0).max(MAX_SEND_WAIT_MS).default(0),
})
export type SendPayload = z.infer<typeof sendPayload>

/** What became of it on one shard: `sent` is true when the socket has taken it. */
export const sendResultSchema = z.discriminatedUnion('sent', [
  z.object({ shardId: anyShardId(), sent: z.literal(true), waitedMs: upTo(FROM_WORKERS.roundTripMs) }),
  z.object({
    shardId: anyShardId(),
    sent: z.literal(false),
    code: failureCodeSchema,
    message: textFor(MAX_FOREIGN_TEXT),
    /** When it would be sent at once, if nobody else sends, in milliseconds. */
    retryAfterMs: upTo(FROM_WORKERS.roundTripMs).optional(),
  }),
])
export type SendResult = z.infer<typeof sendResultSchema>

/** The answer to SEND_PAYLOAD: a result for each shard, in the order in which they were named. */
export const payloadSentSchema = z.object({ results: z.array(sendResultSchema).max(MAX_SHARDS) })
export type PayloadSent = z.infer<typeof payloadSentSchema>

/** Why no shard may send this, whatever state it is in; undefined: it may. `text` is the payload as JSON. */
export function payloadProblem({ op }: Payload, text: string): Failure | undefined {
  const allowed: readonly number[] = Object.values(SENDABLE_OPCODES)
  if (!allowed.includes(op))
    return failure('OPCODE_REFUSED', `op ${op} is not for bots to send: only ${allowed.join(', ')} are.`)
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_PAYLOAD_BYTES) return undefined
  return failure('PAYLOAD_TOO_LARGE', `the payload is ${bytes} bytes; Discord takes ${MAX_PAYLOAD_BYTES} at most.`)
}
