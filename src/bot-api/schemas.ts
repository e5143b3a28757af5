import { z } from 'zod'
import { FROM_BOTS } from '../limits.ts'
import { MAX_SEND_WAIT_MS, payloadSchema } from '../protocol/send-payload.ts'
import { SHARD_STATES } from '../protocol/state.ts'

/** 2^64 - 1. Of numbers with as many digits, the order of the text is the order of the numbers. */
const LAST_SNOWFLAKE = '18446744073709551615'

/** A snowflake, a uint64: https://discord.com/developers/docs/reference#snowflakes */
const snowflake = z
  .string()
  .regex(/^[1-9]\d{0,19}$/, 'must be a snowflake: digits, as a string')
  .refine((id) => id.length < LAST_SNOWFLAKE.length || id <= LAST_SNOWFLAKE, 'must be a snowflake: below 2^64')
  .describe('A snowflake, as a string: 1 to 18446744073709551615.')

export const clusterParams = z.object({
  namespace: z
    .string()
    .min(1)
    .max(63)
    .describe('Namespace of the ShardCluster; in local mode `default`, if it names none.'),
  name: z.string().min(1).max(63).describe('Name of the ShardCluster.'),
})
const shardNumber = z
  .string()
  .regex(/^(0|[1-9]\d{0,5})$/, 'must be the number of a shard')
  .transform(Number)
export const shardParams = clusterParams.extend({ shardId: shardNumber.describe('Number of the shard, from 0.') })
export const guildParams = clusterParams.extend({ guildId: snowflake.describe('Id of the guild.') })

const DEFAULT_WAIT_MS = 10_000

export const sendQuery = z.strictObject({
  withinMs: z
    .string()
    .regex(/^\d{1,5}$/, 'must be a number of milliseconds')
    .transform(Number)
    .pipe(z.number().max(MAX_SEND_WAIT_MS))
    .default(DEFAULT_WAIT_MS)
    .describe(
      `How long the payload may wait for the send limit of its shard, in milliseconds: 0 to ${MAX_SEND_WAIT_MS}, by default ${DEFAULT_WAIT_MS}. What cannot leave in time is refused at once.`,
    ),
})
export const noQuery = z.strictObject({})

export const pageQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, 'must be a number of shards')
    .transform(Number)
    .pipe(z.number().max(FROM_BOTS.pageShards))
    .default(FROM_BOTS.pageShards)
    .describe(`Shards in the answer: 1 to ${FROM_BOTS.pageShards}, by default ${FROM_BOTS.pageShards}.`),
  after: shardNumber
    .optional()
    .describe('The shards after this one; `next` of the answer before. Left out: from shard 0 on.'),
})

/** What an activity may have besides, none of which Discord documents for bots: two levels, and no more. */
const scalar = z.union([z.string().max(FROM_BOTS.payloadText), z.number(), z.boolean(), z.null()])
const scalars = z.array(scalar).max(FROM_BOTS.payloadItems)
const activityField = z.union([scalar, scalars, z.record(z.string(), z.union([scalar, scalars]))])

/** https://discord.com/developers/docs/events/gateway-events#update-presence */
export const presenceBody = z
  .strictObject({
    since: z.int().min(0).nullable().default(null).describe('Unix time in milliseconds since when the client is idle.'),
    activities: z
      .array(z.object({ name: z.string().max(128), type: z.int().min(0).max(5) }).catchall(activityField))
      .max(FROM_BOTS.payloadItems)
      .default([])
      .describe('Activity objects; a bot may set name, type, state and url.'),
    status: z.enum(['online', 'dnd', 'idle', 'invisible', 'offline']),
    afk: z.boolean().default(false),
  })
  .describe('Update Presence (op 3), its fields as Discord has them.')

const memberFields = {
  query: z.string().max(100).optional().describe('What user names begin with; empty: all. Needs `limit`.'),
  limit: z.int().min(0).max(1_000_000).optional().describe('At most so many members; 0 with an empty query: all.'),
  presences: z.boolean().optional().describe('Whether their presences are wanted.'),
  user_ids: z
    .union([snowflake, z.array(snowflake).min(1).max(FROM_BOTS.payloadItems)])
    .optional()
    .describe('These members, 100 at most.'),
  nonce: z
    .string()
    .refine((nonce) => Buffer.byteLength(nonce) <= 32, 'must have at most 32 bytes, or Discord ignores it')
    .optional()
    .describe('Comes back in each Guild Members Chunk; 32 bytes at most.'),
}
const wanted = (d: { query?: string | undefined; limit?: number | undefined; user_ids?: unknown }) =>
  d.user_ids === undefined ? d.query !== undefined && d.limit !== undefined : d.query === undefined || d.query === ''
const WANTED = 'one of both is needed: query with limit (empty and 0 for all members), or user_ids'

/** https://discord.com/developers/docs/events/gateway-events#request-guild-members */
export const membersBody = z
  .strictObject(memberFields)
  .refine(wanted, WANTED)
  .describe('Request Guild Members (op 8), its fields as Discord has them; the guild is in the path.')
export type MembersRequest = z.output<typeof membersBody>

/** https://discord.com/developers/docs/events/gateway-events#update-voice-state */
export const voiceStateBody = z
  .strictObject({
    channel_id: snowflake.nullable().describe('The voice channel to join; null: leave.'),
    self_mute: z.boolean().default(false),
    self_deaf: z.boolean().default(false),
  })
  .describe('Update Voice State (op 4), its fields as Discord has them; the guild is in the path.')

/** https://discord.com/developers/docs/events/gateway-events#request-soundboard-sounds; 4 KB hold some 180 ids. */
const soundsData = z.strictObject({
  guild_ids: z
    .array(snowflake)
    .min(1)
    .max(2 * FROM_BOTS.payloadItems),
})

/** https://docs.discord.com/developers/events/gateway-events#request-channel-info */
const channelInfoData = z.strictObject({
  guild_id: snowflake,
  fields: z.array(z.string().min(1).max(64)).min(1).max(FROM_BOTS.payloadItems),
})

/** `d` of all that may be sent, with defaults: one that Discord cannot read costs the connection (close 4002). */
export const knownData: Readonly<Record<number, z.ZodType<Record<string, unknown>>>> = {
  3: presenceBody,
  4: voiceStateBody.extend({ guild_id: snowflake }),
  8: z.strictObject({ ...memberFields, guild_id: snowflake }).refine(wanted, WANTED),
  31: soundsData,
  43: channelInfoData,
}

export const payloadBody = payloadSchema.describe(
  'A gateway payload as Discord takes it: op 3 (presence), 4 (voice state), 8 (members), 31 (soundboard sounds) or 43 (channel info).',
)

export const sentAnswer = z
  .object({
    shardId: z.int(),
    waitedMs: z.int().describe('How long it waited for the send limit, in milliseconds.'),
  })
  .describe('The socket of the shard has taken the payload. What Discord makes of it comes as an event, if at all.')
export type Sent = z.output<typeof sentAnswer>

export const allSentAnswer = z
  .object({
    sent: z.int().describe('On so many shards it was sent.'),
    notSent: z
      .array(z.object({ shardId: z.int(), code: z.string(), message: z.string(), retry_after: z.number().optional() }))
      .describe(`On these it was not, and why; about ${FROM_BOTS.namedNotSent} of them at most.`),
    notNamed: z.int().optional().describe('On so many more it was not sent.'),
  })
  .describe('What became of a payload for all shards.')
export type AllSent = z.output<typeof allSentAnswer>

export const shardAnswer = z
  .object({
    shardId: z.int(),
    state: z
      .enum([...SHARD_STATES, 'Unassigned'])
      .describe(
        'Connected: events flow. Unassigned: no worker holds it now; it moves, or its worker is not there yet.',
      ),
    worker: z
      .object({
        ordinal: z.int(),
        name: z.string().describe('Name of the pod.'),
        connected: z.boolean().describe('Whether it is heard now; otherwise all this is what it said last.'),
      })
      .nullable()
      .describe('The worker that holds the shard.'),
    latencyMs: z.number().nullable().describe('Round trip of the last heartbeat, in milliseconds.'),
    identifiedAt: z
      .string()
      .nullable()
      .describe('When IDENTIFY was sent for its session (RFC 3339); null: before it came to this worker.'),
    identifies: z.int().describe("IDENTIFYs sent by the worker's present process."),
    resumes: z.int().describe("RESUMEs sent by the worker's present process."),
    sequence: z.int().nullable().describe('Sequence of the last event that the sinks confirmed; null: no session.'),
    lastClose: z
      .object({ code: z.int().nullable(), reason: z.string().nullable() })
      .nullable()
      .describe('How its last connection ended.'),
  })
  .describe('One shard, as its worker said last.')
export type ShardAnswer = z.output<typeof shardAnswer>

export const shardsAnswer = z
  .object({
    totalShards: z.int(),
    shards: z.array(shardAnswer),
    next: z.int().optional().describe('There are more: ask for them with `after` set to this.'),
  })
  .describe('Shards, by their id.')

export const clusterAnswer = z
  .object({
    namespace: z.string(),
    name: z.string(),
    totalShards: z.int(),
    states: z.partialRecord(shardAnswer.shape.state, z.int()).describe('How many shards are in each state.'),
    latencyMs: z
      .object({ median: z.number(), highest: z.number() })
      .nullable()
      .describe('Of the shards that are connected, in milliseconds.'),
    workers: z.array(
      z.object({
        ordinal: z.int(),
        name: z.string(),
        connected: z.boolean().describe('Whether it is heard.'),
        draining: z.boolean(),
        shards: z.int().describe('Shards that it holds.'),
        latencyMs: z.number().nullable().describe('Median of its shards, in milliseconds.'),
      }),
    ),
  })
  .describe('A ShardCluster and its workers, in short.')
export type ClusterAnswer = z.output<typeof clusterAnswer>
