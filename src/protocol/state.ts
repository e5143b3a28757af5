import { z } from 'zod'
import { FROM_WORKERS, MAX_FOREIGN_TEXT, MAX_INT32, MAX_SHARDS } from '../limits.ts'
import { ago, anyEpoch, anyShardId, countUpTo, textFor, upTo, whole, wordUpTo } from './bounded.ts'
import { gatewayOptionsSchema, rangeSchema } from './commands.ts'
import { sessionSchema } from './session.ts'

/**
 * What one shard is, in discordeno's words where it has one.
 * - `Unidentified`: has no session and waits for IDENTIFY_SHARD; it never identifies by itself.
 * - `Connecting`: has a permit; the socket opens or waits for its slot.
 * - `Identifying`: IDENTIFY was sent, READY has not come.
 * - `Resuming`: has a session and is on its way back to it (back-off included).
 * - `Connected`: READY or RESUMED; events flow.
 * - `Offline`: a fatal close code; it stays so until it is assigned anew.
 */
export const SHARD_STATES = ['Unidentified', 'Connecting', 'Identifying', 'Resuming', 'Connected', 'Offline'] as const
export type ShardStateName = (typeof SHARD_STATES)[number]

/**
 * How a session ended for good.
 * - `INVALIDATED`: Discord answered RESUME, or said in between, that it has no such session (op 9 false).
 * - `CLOSED`: a close code after which there is no session (4007, 4009; 4003 and 4005 twice).
 * - `EXPIRED`: no RESUME came through for as long as Discord keeps a session.
 */
export const SESSION_ENDS = ['INVALIDATED', 'CLOSED', 'EXPIRED'] as const
export type SessionEnd = (typeof SESSION_ENDS)[number]

export const shardRecordSchema = z.object({
  shardId: anyShardId(),
  state: z.enum(SHARD_STATES),
  /** Present once this worker has sent an IDENTIFY for it: milliseconds ago, when the record was written. */
  identifiedMsAgo: ago().optional(),
  /** IDENTIFYs and RESUMEs sent by this worker process for this shard. */
  identifies: countUpTo(MAX_INT32).default(0),
  resumes: countUpTo(MAX_INT32).default(0),
  /** Whether it was once READY in this process: a shard that was comes before one that never was. */
  recovering: z.boolean().default(false),
  /** Why the last connection ended. */
  closeCode: whole(0, FROM_WORKERS.closeCode).optional(),
  reason: textFor(FROM_WORKERS.reasonLength).optional(),
  /** Heartbeat round trip in milliseconds. */
  rttMs: upTo(FROM_WORKERS.roundTripMs).optional(),
  session: sessionSchema.optional(),
  /** How its last session ended; absent while there is one, and where there never was. */
  ended: z.enum(SESSION_ENDS).optional(),
})
export type ShardRecord = z.infer<typeof shardRecordSchema>

/** Whether a sink takes events, as the worker sees it. */
export const sinkRecordSchema = z.object({
  name: textFor(FROM_WORKERS.nameLength),
  state: z.enum(['Flowing', 'Failing', 'Unauthorized']),
  message: textFor(MAX_FOREIGN_TEXT).optional(),
  /** Events read and not yet acknowledged. */
  pending: countUpTo(MAX_INT32).default(0),
})
export type SinkRecord = z.infer<typeof sinkRecordSchema>

const sinks = z.array(sinkRecordSchema).max(FROM_WORKERS.sinks)

const workerHead = {
  workerId: whole(0, MAX_SHARDS),
  /** Random, made when the process starts: tells a restarted worker from a reconnected one. */
  bootId: wordUpTo(64),
}

/** What a worker was assigned last. */
export const assignmentSchema = z.object({
  totalShards: whole(1, MAX_SHARDS),
  /** An empty range begins behind the last shard. */
  first: whole(0, MAX_SHARDS),
  last: whole(-1, MAX_SHARDS - 1),
  withhold: z.array(rangeSchema).max(FROM_WORKERS.ranges),
  gateway: gatewayOptionsSchema,
})
export type Assignment = z.infer<typeof assignmentSchema>

/** The first line of a state stream: everything the worker knows. */
const snapshot = z.object({
  type: z.literal('SNAPSHOT'),
  ...workerHead,
  /** The newest epoch it obeys; 0 before the first assignment. */
  epoch: anyEpoch(),
  /** Absent before the first assignment. */
  assignment: assignmentSchema.optional(),
  draining: z.boolean(),
  sinks,
  shards: z.array(shardRecordSchema).max(FROM_WORKERS.shardsNamed),
  /**
   * Sessions without a shard here that may still be resumed: released, or left by a former process. A manager that ends
   * in the middle of a hand-over leaves them to the next.
   */
  sessions: z.array(sessionSchema).max(FROM_WORKERS.shardsNamed).default([]),
})

/** What changed since the line before. Empty ones keep the connection alive. */
const delta = z.object({
  type: z.literal('DELTA'),
  shards: z.array(shardRecordSchema).max(FROM_WORKERS.shardsNamed).default([]),
  /** Shards that this worker no longer holds. */
  gone: z.array(anyShardId()).max(FROM_WORKERS.shardsNamed).default([]),
  sinks: sinks.optional(),
  epoch: anyEpoch().optional(),
  draining: z.boolean().optional(),
})

/** The last line of a draining worker: its shards are closed, the sinks have confirmed, these are the final sessions. */
const drained = z.object({
  type: z.literal('DRAINED'),
  sessions: z.array(sessionSchema).max(FROM_WORKERS.shardsNamed),
})

/** One line of `GET /shards?watch=true` (newline-delimited JSON). Without `watch` only the snapshot is sent. */
export const stateRecordSchema = z.discriminatedUnion('type', [snapshot, delta, drained])
export type StateRecord = z.infer<typeof stateRecordSchema>
export type Snapshot = z.infer<typeof snapshot>
export type Delta = z.infer<typeof delta>
export type Drained = z.infer<typeof drained>
