import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import { API_VERSION, KIND, type ShardClusterManifest } from '../api/shard-cluster.ts'
import { startRestProxy } from '../rest-proxy/index.ts'
import { fakeToken, startSimulator } from '../simulator/index.ts'
import type { Logger } from '../support/logger.ts'
import type { RunDirectory } from './run-directory.ts'
import { type SampleBot, startSampleBot } from './sample-bot.ts'

/** A Discord, a REST proxy and a bot, all simulated or samples, and a manifest that uses them. */
export interface Demo {
  readonly manifest: string
  readonly bot: SampleBot
  /** The key of the API for bots. */
  readonly apiKey: string
  close(): Promise<void>
}

/** As in Discord's bucket of 16, five times as fast: a first start that one can watch. */
const WINDOW_MS = 1_000
const KEYS = { rest: 'rest-proxy-key', events: 'sample-bot-key', api: 'demo-api-key' }

/** Starts everything that a ShardCluster talks to, on free ports of the loopback interface. */
export async function startDemo(directory: RunDirectory, logger: Logger): Promise<Demo> {
  const token = fakeToken()
  const host = '127.0.0.1'
  const simulator = await startSimulator({
    host,
    bots: [{ token, maxConcurrency: 16, recommendedShards: 64 }],
    identifyWindowMs: WINDOW_MS,
    guildsPerShard: 20,
    eventsPerSecond: 400,
  })
  const proxy = await startRestProxy(
    {
      host,
      port: 0,
      token,
      authorization: KEYS.rest,
      discordUrl: `${simulator.url}/api`,
    },
    logger,
  )
  const bot = await startSampleBot({ host, port: 0, authorization: KEYS.events })
  const manifest = directory.file('bot.yaml')
  writeFileSync(manifest, demoManifest(token, simulator.gatewayUrl, proxy.url, bot.url), { mode: 0o600 })
  return {
    manifest,
    bot,
    apiKey: KEYS.api,
    async close() {
      await Promise.all([bot.close(), proxy.close(), simulator.close()])
    },
  }
}

function demoManifest(token: string, gatewayUrl: string, restUrl: string, botUrl: string): string {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'bot' },
    stringData: {
      token,
      'rest-authorization': KEYS.rest,
      'events-authorization': KEYS.events,
      'api-authorization': KEYS.api,
    },
  }
  const cluster: ShardClusterManifest = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'bot' },
    spec: {
      totalShards: 64,
      totalWorkers: 2,
      shardsPerWorker: 64,
      tokenSecretRef: { name: 'bot' },
      rest: { baseUrl: restUrl, authorizationSecretRef: { name: 'bot' } },
      gateway: { intents: ['Guilds', 'GuildMessages', 'GuildMessageTyping'], hosts: [gatewayUrl] },
      identify: { windowMilliseconds: WINDOW_MS },
      events: [{ name: 'bot', http: { url: botUrl, authorizationSecretRef: { name: 'bot' } } }],
      api: { authorizationSecretRef: { name: 'bot' } },
      worker: { logLevel: 'warn' },
    },
  }
  return `${stringify(secret)}---\n${stringify(cluster)}`
}
