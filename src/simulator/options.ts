import { z } from 'zod'
import { isLoopback } from '../support/loopback.ts'
import type { BotRulesOptions } from './rules/index.ts'

/** Heartbeats below this freeze discordeno 21 (its send bucket gets size 0 and spins), so nothing goes lower unasked. */
const SHORTEST_HEARTBEAT_MS = 1017
const DAY_MS = 86_400_000

/** `<base64 of the application id>.<anything>.<anything>`: discordeno decodes the first part, so a fake needs it too. */
export const tokenSchema = z.string().refine((token) => applicationIdOf(token) !== undefined, {
  error: 'a token is <base64 of the application id>.x.y; make a fake one with fakeToken()',
})

const milliseconds = z.number().positive()
const count = z.int().nonnegative()

const botSchema = z.strictObject({
  token: tokenSchema.default(() => fakeToken()),
  /** Identify keys; Discord gives 1, 16, 64 and more. */
  maxConcurrency: z.int().positive().default(16),
  /** IDENTIFYs per 24 hours. */
  sessionStartTotal: z.int().positive().default(25_000),
  /** The shard count Get Gateway Bot recommends. */
  recommendedShards: z.int().positive().default(16),
  shardMultiple: z.int().positive().default(1),
  requiredShards: count.default(0),
  disallowedIntents: count.default(0),
})
export type BotOptions = z.infer<typeof botSchema>

/** What a simulator can be told. Every time is in milliseconds of Discord, and divided by `timeScale`. */
export const simulatorOptionsSchema = z
  .strictObject({
    host: z.string().default('127.0.0.1'),
    /** 0: any free port. */
    port: z.int().min(0).max(65_535).default(0),
    /** PEM texts: the simulator then serves https and wss. */
    tls: z.strictObject({ key: z.string(), cert: z.string() }).optional(),
    /** The URL Get Gateway Bot and READY advertise. Default: the host the request was sent to. */
    gatewayUrl: z.url({ protocol: /^wss?$/ }).optional(),
    bots: z
      .array(botSchema)
      .min(1)
      .default(() => [botSchema.parse({})]),
    /** Any well-formed token is a bot of its own, with the first bot's limits. */
    acceptAnyToken: z.boolean().default(false),
    /** 50: a window of 5 s becomes 100 ms. */
    timeScale: z.number().positive().default(1),
    heartbeatIntervalMs: milliseconds.optional(),
    identifyWindowMs: milliseconds.optional(),
    sessionLifetimeMs: milliseconds.optional(),
    /** Sends per 60 s and connection. */
    sendLimit: z.int().positive().default(120),
    /** Dispatches a session can replay, beyond its GUILD_CREATEs. */
    replayBuffer: z.int().positive().default(2048),
    guildsPerShard: z.int().min(0).max(2500).default(2),
    guildBytes: z.int().min(0).max(1_000_000).default(2048),
    /** Over all shards. 0: no traffic until control asks for it. */
    eventsPerSecond: z.number().nonnegative().default(0),
    /** Requests per window of Get Gateway Bot before a 429. 0: no limit. */
    gatewayBotLimit: z
      .strictObject({ requests: count, windowMs: milliseconds })
      .default({ requests: 0, windowMs: 5000 }),
    /** Control needs `authorization: <key>`. Default: open, on loopback; a host that a network reaches needs one. */
    controlKey: z.string().min(1).optional(),
    keepViolations: z.int().positive().default(100),
  })
  .refine(({ host, controlKey }) => controlKey !== undefined || isLoopback(host), {
    path: ['host'],
    error: 'is reached from a network, and /control would be open to all of it: give a key, or listen on 127.0.0.1',
  })

/** As given: everything has a default. */
export type SimulatorOptions = z.input<typeof simulatorOptionsSchema>
/** As used. */
export type SimulatorSettings = z.output<typeof simulatorOptionsSchema> & { readonly times: Times }

/** The scaled times, in real milliseconds. */
export interface Times {
  readonly heartbeatIntervalMs: number
  readonly identifyWindowMs: number
  readonly sessionLifetimeMs: number
  readonly sessionStartWindowMs: number
  readonly sendWindowMs: number
  /** One request for all members of a guild in this time. */
  readonly membersWindowMs: number
}

/** Fills in the defaults. Throws a ZodError that names the wrong option. */
export function simulatorSettings(options: SimulatorOptions): SimulatorSettings {
  const parsed = simulatorOptionsSchema.parse(options)
  const scaled = (ms: number) => ms / parsed.timeScale
  return {
    ...parsed,
    times: {
      heartbeatIntervalMs: parsed.heartbeatIntervalMs ?? Math.max(SHORTEST_HEARTBEAT_MS, Math.round(scaled(41_250))),
      identifyWindowMs: parsed.identifyWindowMs ?? scaled(5000),
      sessionLifetimeMs: parsed.sessionLifetimeMs ?? scaled(90_000),
      sessionStartWindowMs: scaled(DAY_MS),
      sendWindowMs: scaled(60_000),
      membersWindowMs: scaled(30_000),
    },
  }
}

/** The limits of one bot, in the words of the rules. */
export function botRulesOptions(settings: SimulatorSettings, bot: BotOptions): BotRulesOptions {
  const { times, replayBuffer, guildsPerShard, keepViolations } = settings
  const { token: _, recommendedShards: __, ...limits } = bot
  return {
    ...limits,
    identifyWindowMs: times.identifyWindowMs,
    sessionStartWindowMs: times.sessionStartWindowMs,
    sessionLifetimeMs: times.sessionLifetimeMs,
    // READY and the first GUILD_CREATEs must fit, or a bot with many guilds could never start.
    replayCapacity: replayBuffer + guildsPerShard + 1,
    keepViolations,
  }
}

/** A token no Discord ever gave out, for `applicationId`. */
export function fakeToken(applicationId = '1000000000000000000'): string {
  return `${Buffer.from(applicationId).toString('base64')}.simulated.token`
}

/** The application id inside `token`, or undefined when it is not one. */
export function applicationIdOf(token: string): string | undefined {
  const parts = token.split('.')
  const id = Buffer.from(parts[0] ?? '', 'base64').toString('latin1')
  return parts.length === 3 && /^\d{1,20}$/.test(id) ? id : undefined
}
