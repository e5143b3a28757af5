import { shardOfGuild } from '../domain/guild-shard.ts'
import { FROM_BOTS } from '../limits.ts'
import type { Errand, UndeliveredCode } from '../manager/payload-router.ts'
import { type Payload, payloadProblem, SENDABLE_OPCODES } from '../protocol/send-payload.ts'
import { ApiError, type ApiErrorCode, invalidRequest } from './errors.ts'
import { asksForAll, type Taken } from './members-limit.ts'
import type { Answered, Context } from './route.ts'
import { type AllSent, knownData, type MembersRequest, type Sent } from './schemas.ts'
import type { Undelivered } from './wire.ts'

/** How it is told to a bot that a payload was not sent; all that a worker says besides is a fault: `INTERNAL`. */
const CODES: Partial<Record<UndeliveredCode, ApiErrorCode>> = {
  SEND_LIMITED: 'SEND_LIMITED',
  NOT_CONNECTED: 'NOT_CONNECTED',
  NOT_ASSIGNED: 'UNASSIGNED',
  UNASSIGNED: 'UNASSIGNED',
  DRAINING: 'UNASSIGNED',
  WORKER_AWAY: 'WORKER_AWAY',
  CLOSED: 'NOT_CONNECTED',
  UNKNOWN_TYPE: 'WORKER_OUTDATED',
  UNKNOWN: 'OUTCOME_UNKNOWN',
}

/** What to do about it, after what a worker said. */
const REMEDIES: Partial<Record<ApiErrorCode, string>> = {
  SEND_LIMITED: ' Try again after retry_after seconds, or give it more time with withinMs.',
  NOT_CONNECTED: ' Try again when the shard is Connected.',
  UNASSIGNED: ' Try again in a moment.',
  WORKER_AWAY: ' Try again when it is back.',
  WORKER_OUTDATED:
    ' It is of an older release: change spec.worker, or set spec.worker.upgrade to WithOperator, and it is replaced.',
  OUTCOME_UNKNOWN: ' Sending it again may send it twice.',
}

/** Sends on one shard. @throws ApiError that says why it was not sent. */
export async function sendOn(
  context: Context,
  shardId: number,
  asked: Payload,
  withinMs: number,
): Promise<Answered<Sent>> {
  checkShard(context, shardId)
  const payload = checkedPayload(context, shardId, asked)
  const taken = takeMembers(context, payload, withinMs)
  const { sent, waitedMs, failed } = await askToSend(context, taken, { shardIds: [shardId], payload, withinMs })
  if (sent > 0) {
    taken?.sent()
    return { status: 200, body: { shardId, waitedMs } }
  }
  const error = errorOf(failed[0])
  if (error.code === 'OUTCOME_UNKNOWN') taken?.sent()
  else taken?.giveBack()
  throw error
}

/** @throws ApiError when nothing was handed to anybody. */
async function askToSend({ ask, signal }: Context, taken: Taken | undefined, errand: Errand) {
  try {
    return await ask('SEND', { errand, named: 1 }, signal)
  } catch (error) {
    taken?.giveBack()
    throw error
  }
}

/** Sends on all shards. 200: on all; 207: on some. @throws ApiError when it was sent on none. */
export async function sendOnAll(context: Context, payload: Payload, withinMs: number): Promise<Answered<AllSent>> {
  checkSendable(payload)
  const { sent, failed, failures } = await sendInPages(context, payload, withinMs)
  if (sent === 0) throw errorOf(failed[0])
  const notSent = failed.map((delivery) => {
    const { shardId } = delivery
    const { code, message, retry_after } = errorOf(delivery).body
    return { shardId, code, message, ...(retry_after !== undefined && { retry_after }) }
  })
  const more = failures - notSent.length
  return { status: failures === 0 ? 200 : 207, body: { sent, notSent, ...(more > 0 && { notNamed: more }) } }
}

/** One question for each page of shards, all at once: a shard that waits holds back no other. */
async function sendInPages({ ask, charge, signal, totalShards }: Context, payload: Payload, withinMs: number) {
  const { pageShards, namedNotSent } = FROM_BOTS
  const pages = Array.from({ length: Math.ceil(totalShards / pageShards) }, (_, page) => page * pageShards)
  charge(pages.length)
  const named = Math.ceil(namedNotSent / pages.length)
  const outcomes = await Promise.all(
    pages.map((first) => {
      const length = Math.min(pageShards, totalShards - first)
      const shardIds = Array.from({ length }, (_, offset) => first + offset)
      return ask('SEND', { errand: { shardIds, payload, withinMs }, named }, signal)
    }),
  )
  return {
    sent: outcomes.reduce((sum, { sent }) => sum + sent, 0),
    failed: outcomes.flatMap(({ failed }) => failed),
    failures: outcomes.reduce((sum, { failures }) => sum + failures, 0),
  }
}

export const shardOf = ({ totalShards }: Context, guildId: string): number => shardOfGuild(guildId, totalShards)

/** @throws ApiError when the bot has no such shard. */
export function checkShard({ totalShards }: Context, shardId: number): void {
  if (shardId >= totalShards)
    throw new ApiError('NO_SUCH_SHARD', `There is no shard ${shardId}: the bot has shards 0 to ${totalShards - 1}.`)
}

function errorOf(delivery: Undelivered | undefined): ApiError {
  if (!delivery) return new ApiError('INTERNAL', 'Nobody said what became of the payload.')
  const code = CODES[delivery.code] ?? 'INTERNAL'
  const { retryAfterMs } = delivery
  return new ApiError(code, `${delivery.message}${REMEDIES[code] ?? ''}`, { retryAfterMs })
}

/** Opcode and size, which no shard would send: asked here too, before anything is counted. */
function checkSendable(payload: Payload): void {
  const problem = payloadProblem(payload, JSON.stringify(payload))
  if (problem?.code === 'OPCODE_REFUSED')
    throw new ApiError(
      'OPCODE_REFUSED',
      `${sentence(problem.message)} Heartbeats, IDENTIFY and RESUME are the shard's own.`,
    )
  if (problem) throw new ApiError('PAYLOAD_TOO_LARGE', `${sentence(problem.message)} Send less at once.`)
}

/** The payload as it is sent. @throws ApiError when Discord would not take it, or not on this shard. */
function checkedPayload(context: Context, shardId: number, { op, d }: Payload): Payload {
  checkSendable({ op, d })
  const known = knownData[op]?.safeParse(d)
  if (known && !known.success) throw invalidRequest('body.d', known.error)
  const payload = { op, d: known?.data ?? d }
  checkSendable(payload)
  const guildId = payload.d['guild_id']
  if (typeof guildId !== 'string') return payload
  const right = shardOf(context, guildId)
  if (right !== shardId)
    throw new ApiError(
      'WRONG_SHARD',
      `The guild ${guildId} is on shard ${right}, not on ${shardId}: send it there, or to …/guilds/${guildId}/payloads.`,
    )
  return payload
}

/** Counts a request for all members; undefined: it is none. @throws ApiError when it is too early. */
function takeMembers({ members, bot }: Context, { op, d }: Payload, withinMs: number): Taken | undefined {
  if (op !== SENDABLE_OPCODES.requestMembers || !asksForAll(d as MembersRequest)) return undefined
  const guildId = d['guild_id'] as string
  const taken = members.take(bot, guildId, withinMs)
  if (typeof taken !== 'number') return taken
  throw new ApiError(
    'MEMBERS_LIMITED',
    `All members of the guild ${guildId} were requested less than 30 s ago or are about to be, and Discord answers that once in this time: wait retry_after seconds, or ask for some with query and limit or with user_ids.`,
    { retryAfterMs: taken },
  )
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
