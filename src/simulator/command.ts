import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parse } from 'yaml'
import { createLogger } from '../support/logger.ts'
import { numeric } from '../support/option.ts'
import type { SimulatorOptions } from './options.ts'
import { type Simulator, startSimulator } from './simulator.ts'

/** The flags, as commander hands them over. */
interface Flags {
  readonly config?: string
  readonly host?: string
  readonly port: number
  readonly gatewayUrl?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly acceptAnyToken?: true
  readonly maxConcurrency?: number
  readonly sessionStartTotal?: number
  readonly recommendedShards?: number
  readonly shardMultiple?: number
  readonly requiredShards?: number
  readonly timeScale?: number
  readonly heartbeatInterval?: number
  readonly identifyWindow?: number
  readonly sessionLifetime?: number
  readonly guildsPerShard?: number
  readonly guildBytes?: number
  readonly eventsPerSecond?: number
  readonly replayBuffer?: number
  readonly tlsKey?: string
  readonly tlsCert?: string
  readonly controlKeyFile?: string
  readonly logLevel: string
}

/** `shardcluster simulator`: a Discord of one's own, until SIGTERM or SIGINT. */
export function simulatorCommand(): Command {
  const command = new Command('simulator')
    .description('Run a simulated Discord that enforces the rules of the gateway')
    .addOption(new Option('--config <file>', 'all options as YAML or JSON; flags win').env('SIMULATOR_CONFIG'))
    .addOption(new Option('--host <address>', HOST).env('SIMULATOR_HOST'))
    .addOption(numeric('--port <number>', 'port to listen on', 'SIMULATOR_PORT').default(8080))
    .addOption(new Option('--gateway-url <url>', 'gateway URL to advertise').env('SIMULATOR_GATEWAY_URL'))
    .addOption(new Option('--token <token>', 'bot token; prefer --token-file').env('SIMULATOR_TOKEN'))
    .addOption(new Option('--token-file <file>', 'file with the bot token').env('SIMULATOR_TOKEN_FILE'))
    .option('--accept-any-token', 'every well-formed token is a bot')
  for (const [flag, description, variable] of NUMBERS) command.addOption(numeric(flag, description, variable))
  return command
    .addOption(new Option('--tls-key <file>', 'PEM key; serves https and wss').env('SIMULATOR_TLS_KEY'))
    .addOption(new Option('--tls-cert <file>', 'PEM certificate').env('SIMULATOR_TLS_CERT'))
    .addOption(
      new Option('--control-key-file <file>', 'file with the key for /control').env('SIMULATOR_CONTROL_KEY_FILE'),
    )
    .addOption(new Option('--log-level <level>', 'trace to fatal, or silent').env('LOG_LEVEL').default('info'))
    .action(run)
}

const HOST = 'address to listen on (default: 127.0.0.1); another one needs --control-key-file'

const NUMBERS = [
  ['--max-concurrency <number>', 'identify buckets', 'SIMULATOR_MAX_CONCURRENCY'],
  ['--session-start-total <number>', 'IDENTIFYs per day', 'SIMULATOR_SESSION_START_TOTAL'],
  ['--recommended-shards <number>', 'what Get Gateway Bot recommends', 'SIMULATOR_RECOMMENDED_SHARDS'],
  ['--shard-multiple <number>', 'another shard count is closed with 4010', 'SIMULATOR_SHARD_MULTIPLE'],
  ['--required-shards <number>', 'fewer shards are closed with 4011', 'SIMULATOR_REQUIRED_SHARDS'],
  ['--time-scale <number>', 'divides every window, limit and lifetime', 'SIMULATOR_TIME_SCALE'],
  ['--heartbeat-interval <ms>', 'heartbeat interval, unscaled', 'SIMULATOR_HEARTBEAT_INTERVAL'],
  ['--identify-window <ms>', 'identify window, unscaled', 'SIMULATOR_IDENTIFY_WINDOW'],
  ['--session-lifetime <ms>', 'how long a session waits for a RESUME, unscaled', 'SIMULATOR_SESSION_LIFETIME'],
  ['--guilds-per-shard <number>', 'guilds of each shard', 'SIMULATOR_GUILDS_PER_SHARD'],
  ['--guild-bytes <number>', 'size of a GUILD_CREATE', 'SIMULATOR_GUILD_BYTES'],
  ['--events-per-second <number>', 'traffic over all shards', 'SIMULATOR_EVENTS_PER_SECOND'],
  ['--replay-buffer <number>', 'events a session can replay', 'SIMULATOR_REPLAY_BUFFER'],
] as const

async function run(flags: Flags): Promise<void> {
  const log = createLogger('simulator', flags.logLevel)
  const simulator = await startSimulator(optionsOf(flags))
  const { bots, timeScale, times, guildsPerShard } = simulator.settings
  log.info({
    url: simulator.url,
    gatewayUrl: simulator.gatewayUrl,
    bots: bots.length,
    timeScale,
    times,
    guildsPerShard,
  })
  const stopReporting = reportViolations(simulator, (counts) => log.warn(counts, 'a rule of Discord was broken'))
  const [signal] = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  stopReporting()
  const { identifies, resumes, eventsSent, violations } = simulator.stats()
  log.info({ signal, identifies, resumes, eventsSent, violations }, 'stopping')
  await simulator.close()
}

/** Flags over the file. Undefined flags are left out, so that they do not hide what the file says. */
export function optionsOf(flags: Flags): SimulatorOptions {
  const file = flags.config === undefined ? {} : (parse(readFileSync(flags.config, 'utf8')) as SimulatorOptions)
  const token = flags.tokenFile === undefined ? flags.token : readFileSync(flags.tokenFile, 'utf8').trim()
  const [first, ...others] = file.bots ?? []
  const bot = given({
    token,
    maxConcurrency: flags.maxConcurrency,
    sessionStartTotal: flags.sessionStartTotal,
    recommendedShards: flags.recommendedShards,
    shardMultiple: flags.shardMultiple,
    requiredShards: flags.requiredShards,
  })
  const top = given({
    host: flags.host,
    port: flags.port,
    gatewayUrl: flags.gatewayUrl,
    acceptAnyToken: flags.acceptAnyToken,
    timeScale: flags.timeScale,
    heartbeatIntervalMs: flags.heartbeatInterval,
    identifyWindowMs: flags.identifyWindow,
    sessionLifetimeMs: flags.sessionLifetime,
    guildsPerShard: flags.guildsPerShard,
    guildBytes: flags.guildBytes,
    eventsPerSecond: flags.eventsPerSecond,
    replayBuffer: flags.replayBuffer,
    tls: tlsOf(flags),
    controlKey: flags.controlKeyFile && readFileSync(flags.controlKeyFile, 'utf8').trim(),
  })
  return { ...file, ...top, bots: [{ ...first, ...bot }, ...others] } as SimulatorOptions
}

function tlsOf({ tlsKey, tlsCert }: Flags): { key: string; cert: string } | undefined {
  if (tlsKey === undefined && tlsCert === undefined) return undefined
  if (tlsKey === undefined || tlsCert === undefined)
    throw new InvalidArgumentError('give both --tls-key and --tls-cert')
  return { key: readFileSync(tlsKey, 'utf8'), cert: readFileSync(tlsCert, 'utf8') }
}

/** Looks at the counters now and then: whoever watches the log shall see a violation without asking. */
function reportViolations(simulator: Simulator, report: (counts: object) => void): () => void {
  let reported = ''
  const timer = setInterval(() => {
    const { violations } = simulator.stats()
    const now = JSON.stringify(violations)
    if (Object.values(violations).some((count) => count > 0) && now !== reported) report(violations)
    reported = now
  }, 5000)
  return () => clearInterval(timer)
}

function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}
