import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { startRestProxy } from '../../../src/rest-proxy/index.ts'
import { fakeToken, startSimulator } from '../../../src/simulator/index.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { RecordingBot } from '../../support/sharder.ts'

export const SHARDS = 8

/** A manifest of one's own, with a Discord that outlives the runs of it. */
export async function ownManifest(change: { keys?: Record<string, string>; spec?: object } = {}) {
  const token = fakeToken()
  const host = '127.0.0.1'
  const discord = await startSimulator({ host, identifyWindowMs: 100, bots: [{ token, maxConcurrency: 16 }] })
  const key = { host, port: 0, token, authorization: 'rest', discordUrl: `${discord.url}/api` }
  const proxy = await startRestProxy(key, createLogger('test', 'silent'))
  const bot = await new RecordingBot().start()
  const folder = mkdtempSync(join(tmpdir(), 'local-test-'))
  onTestFinished(async () => {
    await Promise.all([bot.close(), proxy.close(), discord.close()])
    rmSync(folder, { recursive: true })
  })
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'bot' },
    stringData: { token, rest: 'rest', ...change.keys },
  }
  const spec = {
    ...{ totalShards: SHARDS, totalWorkers: 2, shardsPerWorker: SHARDS, tokenSecretRef: { name: 'bot' } },
    rest: { baseUrl: proxy.url, authorizationSecretRef: { name: 'bot', key: 'rest' } },
    gateway: { intents: ['Guilds'], hosts: ['ws://127.0.0.1'] },
    identify: { windowMilliseconds: 100 },
    events: [{ name: 'bot', http: { url: bot.url } }],
    ...change.spec,
  }
  const cluster = { apiVersion: 'shardcluster.dev/v1alpha1', kind: 'ShardCluster', metadata: { name: 'bot' }, spec }
  const file = join(folder, 'bot.yaml')
  writeFileSync(file, `${stringify(secret)}---\n${stringify(cluster)}`)
  return { file, discord, bot, environment: { XDG_STATE_HOME: folder } }
}
