import { z } from 'zod'
import { FROM_MANAGER, MAX_SHARDS } from '../limits.ts'
import { ago, anyEpoch, anyShardId, whole } from './bounded.ts'
import { MAX_SLOT_MS } from './limits.ts'
import { sendPayload } from './send-payload.ts'
import { sessionSchema } from './session.ts'

const shardId = z.int().min(0).max(MAX_SHARDS)
const lastShard = z.int().min(-1).max(MAX_SHARDS)

/**
 * Orders the managers of one ShardCluster: a worker refuses a command whose epoch is older than the newest it saw.
 * See epochOf in src/domain/epoch.ts.
 */
const epoch = z.int().min(0)

/** How a shard connects. Applies to connections opened from now on; those that are open are left alone. */
export const gatewayOptionsSchema = z.object({
  /** From /gateway/bot. Identify goes here; resume goes to the session's own URL. */
  url: z.url({ protocol: /^wss?$/, message: 'must be a ws:// or wss:// URL' }),
  version: z.int().min(1).max(FROM_MANAGER.gatewayVersion),
  /** The bit field of https://discord.com/developers/docs/events/gateway#gateway-intents */
  intents: z.int().min(0),
  compression: z.enum(['None', 'ZlibStream', 'ZstdStream']),
  presence: z.record(z.string(), z.unknown()).optional(),
})
export type GatewayOptions = z.infer<typeof gatewayOptionsSchema>

/** Shards `first` to `last`, both included. `last` = `first - 1` is an empty range. */
export const rangeSchema = z
  .object({ first: shardId, last: lastShard })
  .refine((range) => range.last >= range.first - 1, { message: 'last must not be below first - 1' })

/** What a worker may be given: a range of the bot's shards, no larger than `spec.shardsPerWorker` may be. */
function assignable({ first, last, totalShards }: { first: number; last: number; totalShards: number }): boolean {
  return last >= first - 1 && last < totalShards && last - first < FROM_MANAGER.rangeShards
}

/**
 * The seed guide's command: open the shard's connection and IDENTIFY.
 * `slotInMs`: the socket is opened and HELLO read before the slot, IDENTIFY leaves exactly on it.
 * The request held open is the permit: when the manager goes away before IDENTIFY was sent, none is sent.
 */
const identifyShard = z.object({
  type: z.literal('IDENTIFY_SHARD'),
  shardId,
  epoch: epoch.optional(),
  slotInMs: z.number().min(0).max(MAX_SLOT_MS).default(0),
})

/**
 * The whole range this worker shall hold from now on; idempotent. Shards in it that have a session resume at once,
 * the others wait for IDENTIFY_SHARD. Shards in `withhold` still live elsewhere and are not touched yet.
 * Shards outside the range that the worker holds go on until RELEASE_SHARDS names them: nothing else closes a shard.
 */
const assignShards = z
  .object({
    type: z.literal('ASSIGN_SHARDS'),
    epoch,
    totalShards: z.int().min(1).max(MAX_SHARDS),
    first: shardId,
    last: lastShard,
    withhold: z.array(rangeSchema).max(FROM_MANAGER.withheldRanges).default([]),
    gateway: gatewayOptionsSchema,
    sessions: z.array(sessionSchema).max(FROM_MANAGER.heldShards).default([]),
  })
  .refine(assignable, {
    path: ['last'],
    message: `first to last must be a range of at most ${FROM_MANAGER.rangeShards} of totalShards`,
  })

/** Close these shards with a 4000-range code, wait until the sinks confirmed what was read, answer with the sessions. */
const releaseShards = z.object({
  type: z.literal('RELEASE_SHARDS'),
  epoch,
  shardIds: z.array(shardId).max(FROM_MANAGER.heldShards),
})

/** Everything the manager says to a worker: the body of `POST /`. */
export const commandSchema = z.discriminatedUnion('type', [identifyShard, assignShards, releaseShards, sendPayload])
export type Command = z.infer<typeof commandSchema>
export type CommandType = Command['type']
export const COMMAND_TYPES: readonly CommandType[] = [
  'IDENTIFY_SHARD',
  'ASSIGN_SHARDS',
  'RELEASE_SHARDS',
  'SEND_PAYLOAD',
]

export type IdentifyShard = z.infer<typeof identifyShard>
export type AssignShards = z.infer<typeof assignShards>
export type ReleaseShards = z.infer<typeof releaseShards>

/** Truthful: the shard is READY. The bucket is free again one window after IDENTIFY was *sent*. */
export const identifiedSchema = z.object({
  identified: z.literal(true),
  shardId: anyShardId(),
  workerId: whole(0, MAX_SHARDS),
  /** Milliseconds between the sending of IDENTIFY and this answer. */
  identifiedMsAgo: ago(),
})
export type Identified = z.infer<typeof identifiedSchema>

export const assignedSchema = z.object({
  assigned: z.literal(true),
  epoch: anyEpoch(),
  first: whole(0, MAX_SHARDS),
  last: whole(-1, MAX_SHARDS),
})
export type Assigned = z.infer<typeof assignedSchema>

export const releasedSchema = z.object({
  released: z.array(anyShardId()).max(MAX_SHARDS),
  sessions: z.array(sessionSchema).max(MAX_SHARDS),
})
export type Released = z.infer<typeof releasedSchema>
