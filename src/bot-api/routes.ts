import { FROM_BOTS } from '../limits.ts'
import { SENDABLE_OPCODES } from '../protocol/send-payload.ts'
import { ApiError, type ApiErrorCode } from './errors.ts'
import { describeCluster, describeShard } from './info.ts'
import { type Context, type Route, route } from './route.ts'
import {
  allSentAnswer,
  clusterAnswer,
  clusterParams,
  guildParams,
  membersBody,
  noQuery,
  pageQuery,
  payloadBody,
  presenceBody,
  type ShardAnswer,
  sendQuery,
  sentAnswer,
  shardAnswer,
  shardParams,
  shardsAnswer,
  voiceStateBody,
} from './schemas.ts'
import { checkShard, sendOn, sendOnAll, shardOf } from './sending.ts'

const CLUSTER = '/v1/shardclusters/{namespace}/{name}'
const SHARD = `${CLUSTER}/shards/{shardId}`
const GUILD = `${CLUSTER}/guilds/{guildId}`

/** How sending on one shard may fail. */
const UNSENT: readonly ApiErrorCode[] = [
  'SEND_LIMITED',
  'NOT_CONNECTED',
  'UNASSIGNED',
  'WORKER_AWAY',
  'WORKER_OUTDATED',
  'OUTCOME_UNKNOWN',
]
const RAW: readonly ApiErrorCode[] = [
  ...UNSENT,
  'OPCODE_REFUSED',
  'PAYLOAD_TOO_LARGE',
  'WRONG_SHARD',
  'MEMBERS_LIMITED',
]

async function describedShard({ ask, clock, signal }: Context, shardId: number): Promise<ShardAnswer> {
  const [standing] = await ask('SHARDS', { first: shardId, count: 1 }, signal)
  if (!standing) throw new ApiError('STARTING', 'The number of shards changes: try again.')
  return describeShard(standing, clock)
}

/** Everything the API does: the server and docs/openapi.yaml are made of this. */
export const ROUTES: readonly Route[] = [
  route({
    ...{ method: 'GET', path: CLUSTER, operationId: 'getShardCluster', params: clusterParams, query: noQuery },
    summary: 'The ShardCluster in short',
    description: 'How many shards are in which state, their latency, and the workers; at most a second old.',
    answers: { 200: clusterAnswer },
    errors: [],
    handle: async (_, context) => {
      const { namespace, name, summaries, ask } = context
      const describe = async () => describeCluster({ namespace, name }, await ask('CENSUS', {}))
      return { status: 200, body: await summaries.of(`${namespace}/${name}`, describe) }
    },
  }),
  route({
    ...{ method: 'GET', path: `${CLUSTER}/shards`, operationId: 'listShards', params: clusterParams, query: pageQuery },
    summary: 'Every shard',
    description: `State, worker and latency of each shard, by its id, in pages of ${FROM_BOTS.pageShards} at most.`,
    answers: { 200: shardsAnswer },
    errors: [],
    large: 'read',
    handle: async ({ query: { limit, after } }, { totalShards, clock, ask, signal }) => {
      const first = after === undefined ? 0 : after + 1
      const standings = first < totalShards ? await ask('SHARDS', { first, count: limit }, signal) : []
      const last = standings.at(-1)?.shardId
      const next = last !== undefined && last + 1 < totalShards ? { next: last } : {}
      const shards = standings.map((standing) => describeShard(standing, clock))
      return { status: 200, body: { totalShards, shards, ...next } }
    },
  }),
  route({
    ...{ method: 'GET', path: SHARD, operationId: 'getShard', params: shardParams, query: noQuery },
    summary: 'One shard',
    description: 'State, worker and latency of a shard.',
    answers: { 200: shardAnswer },
    errors: ['NO_SUCH_SHARD'],
    handle: async ({ params: { shardId } }, context) => {
      checkShard(context, shardId)
      return { status: 200, body: await describedShard(context, shardId) }
    },
  }),
  route({
    ...{ method: 'GET', path: `${GUILD}/shard`, operationId: 'getShardOfGuild', params: guildParams, query: noQuery },
    summary: 'The shard of a guild',
    description: 'State, worker and latency of the shard that the guild is on: `(guild_id >> 22) % totalShards`.',
    answers: { 200: shardAnswer },
    errors: [],
    handle: async ({ params: { guildId } }, context) => ({
      status: 200,
      body: await describedShard(context, shardOf(context, guildId)),
    }),
  }),
  route({
    ...{ method: 'POST', path: `${SHARD}/payloads`, operationId: 'sendOnShard', params: shardParams, query: sendQuery },
    summary: 'Send a payload on a shard',
    description:
      'Sends what Discord lets a client send: op 3, 4, 8, 31 and 43. Heartbeats, IDENTIFY and RESUME are the shard’s own.',
    body: payloadBody,
    answers: { 200: sentAnswer },
    errors: ['NO_SUCH_SHARD', ...RAW],
    handle: ({ params: { shardId }, query: { withinMs }, body }, context) => sendOn(context, shardId, body, withinMs),
  }),
  route({
    ...{ method: 'POST', path: `${GUILD}/payloads`, operationId: 'sendOnShardOfGuild', params: guildParams },
    query: sendQuery,
    summary: 'Send a payload on the shard of a guild',
    description: 'The same, on the shard that the guild is on: `(guild_id >> 22) % totalShards`.',
    body: payloadBody,
    answers: { 200: sentAnswer },
    errors: RAW,
    handle: ({ params: { guildId }, query: { withinMs }, body }, context) =>
      sendOn(context, shardOf(context, guildId), body, withinMs),
  }),
  route({
    ...{ method: 'PUT', path: `${CLUSTER}/presence`, operationId: 'setPresence', params: clusterParams },
    query: sendQuery,
    summary: 'Presence on all shards',
    description:
      'Until the next IDENTIFY of a shard, which brings `spec.gateway.presence`: set that too if it shall last. 207: some shards were not reached; `notSent` names them.',
    large: 'sent',
    body: presenceBody,
    answers: { 200: allSentAnswer, 207: allSentAnswer },
    errors: UNSENT,
    handle: ({ query: { withinMs }, body }, context) =>
      sendOnAll(context, { op: SENDABLE_OPCODES.presence, d: body }, withinMs),
  }),
  route({
    ...{ method: 'PUT', path: `${SHARD}/presence`, operationId: 'setPresenceOfShard', params: shardParams },
    query: sendQuery,
    summary: 'Presence on one shard',
    description: 'Until the next IDENTIFY of the shard, which brings `spec.gateway.presence`.',
    body: presenceBody,
    answers: { 200: sentAnswer },
    errors: ['NO_SUCH_SHARD', ...UNSENT],
    handle: ({ params: { shardId }, query: { withinMs }, body }, context) =>
      sendOn(context, shardId, { op: SENDABLE_OPCODES.presence, d: body }, withinMs),
  }),
  route({
    ...{ method: 'POST', path: `${GUILD}/members`, operationId: 'requestGuildMembers', params: guildParams },
    query: sendQuery,
    summary: 'Request guild members',
    description:
      'The members come as Guild Members Chunk events, with your nonce. All members need the GUILD_MEMBERS intent and can be requested once in 30 s.',
    body: membersBody,
    answers: { 200: sentAnswer },
    errors: [...UNSENT, 'PAYLOAD_TOO_LARGE', 'MEMBERS_LIMITED'],
    handle: ({ params: { guildId }, query: { withinMs }, body }, context) => {
      const payload = { op: SENDABLE_OPCODES.requestMembers, d: { guild_id: guildId, ...body } }
      return sendOn(context, shardOf(context, guildId), payload, withinMs)
    },
  }),
  route({
    ...{ method: 'PUT', path: `${GUILD}/voice-state`, operationId: 'setVoiceState', params: guildParams },
    query: sendQuery,
    summary: 'Join, leave or change a voice channel',
    description: 'The answers of Discord, Voice State Update and Voice Server Update, come as events.',
    body: voiceStateBody,
    answers: { 200: sentAnswer },
    errors: UNSENT,
    handle: ({ params: { guildId }, query: { withinMs }, body }, context) => {
      const payload = { op: SENDABLE_OPCODES.voiceState, d: { guild_id: guildId, ...body } }
      return sendOn(context, shardOf(context, guildId), payload, withinMs)
    },
  }),
]
