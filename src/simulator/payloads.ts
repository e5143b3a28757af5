import { EVENT_TEMPLATES, type EventTemplate, guildTemplate } from './events.ts'
import type { DispatchRecord, Session } from './rules/index.ts'

/**
 * Gateway payloads as bytes, always in Discord's key order `t, s, op, d` and with `s: null` outside dispatches:
 * clients read the first bytes instead of parsing.
 */
const plain = (op: number, d: unknown): Buffer => Buffer.from(`{"t":null,"s":null,"op":${op},"d":${JSON.stringify(d)}}`)

/** The payloads that are the same for everybody. */
export const HEARTBEAT_ACK = plain(11, null)
export const HEARTBEAT_REQUEST = plain(1, null)
export const RECONNECT = plain(7, null)
export const INVALID_SESSION = plain(9, false)
export const INVALID_SESSION_RESUMABLE = plain(9, true)

export function helloPayload(heartbeatIntervalMs: number): Buffer {
  const trace = '["gateway-prd-simulated-0",{"micros":0.0}]'
  return plain(10, { heartbeat_interval: heartbeatIntervalMs, _trace: [trace] })
}

/** Kinds of dispatch in a session's log. Events are `FirstEvent + index`, guilds `FirstGuild + index`. */
export const Kind = { Ready: 0, Resumed: 1, Extra: 2, Nothing: 3, FirstEvent: 4, FirstGuild: 1_000_000 } as const

/** A dispatch that answers a client and cannot be made up again from numbers. */
export interface Extra {
  readonly t: string
  readonly d: object
}

/** What rendering needs to know beyond the session: who the bot is, where to resume, how guilds look. */
export interface RenderContext {
  readonly applicationId: string
  readonly gatewayUrl: string
  readonly apiVersion: number
  readonly guilds: GuildShape
  /** By session, then by sequence. */
  readonly extras: WeakMap<object, Map<number, Extra>>
}

/** Guilds are made up: `perShard` of them, each GUILD_CREATE about `bytes` long. */
export interface GuildShape {
  readonly perShard: number
  readonly template: EventTemplate
}

export function guildShape(perShard: number, bytes: number): GuildShape {
  return { perShard, template: guildTemplate(bytes) }
}

/** A snowflake near 2024 (milliseconds since 2015) to which guild ids are aligned. */
const GUILD_EPOCH_MS = 300_000_000_000

/** The id of the `index`-th guild of a shard: `(id >> 22) % total == shardId`, as Discord routes it. */
export function guildId(shardId: number, total: number, index: number): string {
  const base = Math.floor(GUILD_EPOCH_MS / total) * total
  return (BigInt(base + index * total + shardId) << 22n).toString()
}

/** As it is sent once more: an old RESUMED would tell the client that the replay is over, but its sequence is still due. */
export function replayed(record: DispatchRecord): DispatchRecord {
  return record.kind === Kind.Resumed ? { ...record, kind: Kind.Nothing } : record
}

/** A payload in two parts: what is written for this one (ASCII), and bytes that are the same in many. */
export interface Rendered {
  readonly head: string
  readonly tail: Buffer
}

/** Dispatch `s` of `session`, the same each time: a replayed event is the very event. */
export function renderDispatch<C>(
  session: Session<C>,
  s: number,
  record: DispatchRecord,
  context: RenderContext,
): Rendered {
  if (record.kind === Kind.Ready) return dispatch('READY', s, ready(session, context))
  if (record.kind === Kind.Resumed) return dispatch('RESUMED', s, { _trace: ['["gateway-prd-simulated-0"]'] })
  // Discord sends this one to everybody, and it never says anything.
  if (record.kind === Kind.Nothing) return dispatch('PRESENCES_REPLACE', s, [])
  if (record.kind === Kind.Extra) {
    const extra = context.extras.get(session)?.get(s)
    return dispatch(extra?.t ?? 'GUILD_MEMBERS_CHUNK', s, extra?.d ?? {})
  }
  return renderCounted(session, s, record, context)
}

/** An event or GUILD_CREATE: fresh numbers in front of ready-made bytes. */
function renderCounted<C>(session: Session<C>, s: number, record: DispatchRecord, context: RenderContext): Rendered {
  const { id, total } = session.shard
  const guild = record.kind - Kind.FirstGuild
  const template = guild >= 0 ? context.guilds.template : EVENT_TEMPLATES[record.kind - Kind.FirstEvent]
  if (template === undefined) throw new RangeError(`no event of kind ${record.kind}`)
  const guilds = Math.max(1, context.guilds.perShard)
  const ofGuild = guildId(id, total, guild >= 0 ? guild : record.n % guilds)
  const ids = guild >= 0 ? `"id":"${ofGuild}"` : `"guild_id":"${ofGuild}"`
  const counted = `"sim_n":${record.n},"sim_shard":[${id},${total}],"sim_at":${record.at}`
  const head = `{"t":"${template.name}","s":${s},"op":0,"d":{${counted},${ids}`
  return { head, tail: template.tails[record.n % template.tails.length] as Buffer }
}

function dispatch(t: string, s: number, d: unknown): Rendered {
  return { head: '', tail: Buffer.from(`{"t":"${t}","s":${s},"op":0,"d":${JSON.stringify(d)}}`) }
}

function ready<C>(session: Session<C>, { applicationId, gatewayUrl, apiVersion, guilds }: RenderContext): object {
  const { id, total } = session.shard
  const unavailable = Array.from({ length: guilds.perShard }, (_, index) => ({
    unavailable: true,
    id: guildId(id, total, index),
  }))
  return {
    v: apiVersion,
    user_settings: {},
    user: simulatedUser(applicationId),
    shard: [id, total],
    session_type: 'normal',
    session_id: session.id,
    resume_gateway_url: gatewayUrl,
    relationships: [],
    private_channels: [],
    presences: [],
    guilds: unavailable,
    guild_join_requests: [],
    geo_ordered_rtc_regions: ['rotterdam', 'milan', 'bucharest'],
    application: { id: applicationId, flags: 565_248 },
    _trace: ['["gateway-prd-simulated-0",{"micros":42000}]'],
  }
}

/** The bot's own user, as READY and GET /users/@me show it. */
export function simulatedUser(applicationId: string): object {
  return {
    verified: true,
    username: 'simulated',
    mfa_enabled: true,
    id: applicationId,
    global_name: null,
    flags: 0,
    email: null,
    discriminator: '0000',
    bot: true,
    avatar: null,
  }
}
