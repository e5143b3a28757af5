import type { Bot } from './bots.ts'
import type { GatewayConnection } from './connection.ts'
import type { Gateway } from './gateway.ts'
import type { OwnerStats } from './owners.ts'
import type { BotCounts, ShardRecord, Span, StartLimitState, Violation, ViolationCounts } from './rules/index.ts'
import type { Traffic } from './traffic.ts'

/** What one bot did and has. */
export interface BotStats extends BotCounts {
  readonly applicationId: string
  readonly maxConcurrency: number
  readonly sessionStart: StartLimitState
  readonly tokenReset: boolean
  /** When the first and the last IDENTIFY came, in milliseconds since 1970; absent before the first. */
  readonly identifySpan?: Span
  /** The same of the RESUMEs that were taken. */
  readonly resumeSpan?: Span
  /** Sessions, live or resumable. */
  readonly sessions: number
  /** Shards with a live connection. */
  readonly connectedShards: number
  readonly violations: ViolationCounts
  /** The newest violations in words, oldest first. */
  readonly violationDetails: readonly Violation[]
  /** With `detail`: by `id/total`. */
  readonly shards?: Readonly<Record<string, ShardStats>>
}

/** One shard: its counter is the `sim_n` of its last event, over all its sessions. */
export interface ShardStats {
  readonly counter: number
  readonly connected: boolean
  readonly identifies: number
  /** RESUMEs that were taken. */
  readonly resumes: number
  /** Dispatches (READY and RESUMED too) sent for the first time, and sent again for a RESUME. */
  readonly sent: number
  readonly replayed: number
  /** The newest session. */
  readonly sessionId: string | undefined
  /** The last sequence of each session that can still be resumed: what a bot must have in the end. */
  readonly sequences: Readonly<Record<string, number>>
}

/** Everything the simulator has seen; the counts of all bots are summed at the top. */
export interface SimulatorStats extends BotCounts {
  /** Open WebSockets now, and ever. */
  readonly openConnections: number
  readonly connections: number
  /** Connects refused on purpose. */
  readonly refusedConnects: number
  readonly sessions: number
  readonly connectedShards: number
  /** Dispatches sent, replays included. */
  readonly eventsSent: number
  readonly eventsPerSecond: number
  /** Burst events the sockets have not taken yet. */
  readonly burstsLeft: number
  readonly received: number
  readonly receivedOps: Readonly<Record<string, number>>
  /** Connections closed, by close code. */
  readonly closes: Readonly<Record<string, number>>
  readonly violations: ViolationCounts
  readonly violationDetails: readonly Violation[]
  /** How many live connections each shard had, at any time. */
  readonly owners: OwnerStats
  readonly bots: readonly BotStats[]
}

/** Reads all counters; `detail` adds a row per shard. */
export function simulatorStats(gateway: Gateway, traffic: Traffic, detail: boolean): SimulatorStats {
  const bots = [...gateway.bots.all()].map((bot) => botStats(bot, detail))
  const total = (key: keyof BotCounts | 'sessions' | 'connectedShards') => bots.reduce((sum, bot) => sum + bot[key], 0)
  return {
    identifies: total('identifies'),
    readies: total('readies'),
    resumes: total('resumes'),
    resumesRefused: total('resumesRefused'),
    replayedEvents: total('replayedEvents'),
    sessionsExpired: total('sessionsExpired'),
    sessions: total('sessions'),
    connectedShards: total('connectedShards'),
    openConnections: gateway.connections.size,
    connections: gateway.counts.connections,
    refusedConnects: gateway.counts.refused,
    eventsSent: gateway.counts.dispatches,
    eventsPerSecond: traffic.rate,
    burstsLeft: traffic.burstsLeft,
    received: gateway.counts.received,
    receivedOps: Object.fromEntries(gateway.receivedOps),
    closes: Object.fromEntries(gateway.closes),
    violations: [gateway.anonymous.counts, ...bots.map((bot) => bot.violations)].reduce(sumCounts),
    violationDetails: [...gateway.anonymous.newest, ...bots.flatMap((bot) => bot.violationDetails)],
    owners: gateway.owners.stats(),
    bots,
  }
}

function botStats({ applicationId, rules }: GatewayBot, detail: boolean): BotStats {
  const shards = [...rules.sessions.shards()]
  const live = shards.filter(isConnected)
  return {
    ...rules.counts,
    applicationId,
    maxConcurrency: rules.maxConcurrency,
    sessionStart: rules.startLimit,
    tokenReset: rules.tokenReset,
    ...(rules.identifySpan && { identifySpan: rules.identifySpan }),
    ...(rules.resumeSpan && { resumeSpan: rules.resumeSpan }),
    sessions: rules.sessions.size,
    connectedShards: live.length,
    violations: rules.violations.counts,
    violationDetails: rules.violations.newest,
    ...(detail ? { shards: shardStats({ rules }, shards) } : {}),
  }
}

function shardStats({ rules }: Pick<GatewayBot, 'rules'>, shards: readonly Shard[]): Record<string, ShardStats> {
  const rows = shards.map((shard): [string, ShardStats] => {
    const key = `${shard.id}/${shard.total}`
    const identifies = rules.identifiesByShard.get(key) ?? 0
    const sessions = [...shard.sessions]
    const sequences = Object.fromEntries(sessions.map(({ id, log }) => [id, log.last]))
    const { counter, resumes, sent, replayed } = shard
    const counts = { counter, identifies, resumes, sent, replayed }
    return [key, { ...counts, connected: isConnected(shard), sessionId: sessions.at(-1)?.id, sequences }]
  })
  return Object.fromEntries(rows)
}

type GatewayBot = Bot<GatewayConnection>
type Shard = ShardRecord<GatewayConnection>

const isConnected = (shard: Shard): boolean => [...shard.sessions].some(({ connection }) => connection !== undefined)

function sumCounts(a: ViolationCounts, b: ViolationCounts): ViolationCounts {
  return {
    bucket: a.bucket + b.bucket,
    startLimit: a.startLimit + b.startLimit,
    sendLimit: a.sendLimit + b.sendLimit,
    doubleOwner: a.doubleOwner + b.doubleOwner,
    heartbeat: a.heartbeat + b.heartbeat,
    slowConsumer: a.slowConsumer + b.slowConsumer,
    protocol: a.protocol + b.protocol,
  }
}
