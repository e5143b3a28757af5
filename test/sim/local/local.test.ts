import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { startRestProxy } from '../../../src/rest-proxy/index.ts'
import { fakeToken, startSimulator } from '../../../src/simulator/index.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { RecordingBot } from '../../support/sharder.ts'
import { descendants, Program, ROOT } from './program.ts'

let program: Program | undefined
afterEach(async () => {
  if (program && program.child.exitCode === null && program.child.signalCode === null) await program.end('SIGKILL')
  program = undefined
})

describe('npm start', () => {
  it('brings shards up, receives events, moves ranges when the file is saved, and leaves nothing behind', async () => {
    program = new Program(['local'])
    await program.says(/^shards \d+\/64 /)
    await program.says(/all shards are connected/)
    const hint = await program.says(/set totalWorkers to 4 and save it/)
    const file = hint.match(/edit (\S+):/)?.[1] ?? ''
    const events = await program.says(/^events [1-9]\d* .*workers 0-31:32 32-63:32/)
    expect(events).toContain('shards 64/64')
    const at = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 2', 'totalWorkers: 4'))
    await program.says(/bot\.yaml was applied/, at)
    await program.says(/^events \d+ .*workers 0-15:16 16-31:16 32-47:16 48-63:16/, at)
    expect(descendants(program.child.pid ?? 0)).toHaveLength(4)
    const again = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 4', 'totalWorkers: four'))
    await program.says(/bot\.yaml:\d+: spec\.totalWorkers: /, again)
    await program.says(/The file is not applied; what runs goes on/, again)
    expect(await program.end('SIGTERM')).toEqual({ code: 0, left: [] })
  })

  it('ends cleanly on Ctrl-C in the middle of the start', async () => {
    program = new Program(['local'])
    await program.says(/^shards \d+\/64 /)
    expect(await program.end('SIGINT')).toEqual({ code: 0, left: [] })
  })

  it('says what is wrong with a manifest, with file and line', async () => {
    const file = join(ROOT, 'test/sim/local/broken.yaml')
    program = new Program(['local', file])
    expect(await program.says(/broken\.yaml:\d+:/)).toContain(
      'broken.yaml:6: spec.totalShards: 100 shards do not fit on 1 workers of 10',
    )
    expect(await program.exited()).toBe(1)
  })

  it('keeps its sessions: a worker that is killed, and a run that ends and is started again, cost no IDENTIFY', async () => {
    const { file, environment, discord } = await ownManifest()
    const resumed = (count: number) =>
      expect.poll(() => discord.stats(), { timeout: 60_000 }).toMatchObject({ resumes: count, connectedShards: SHARDS })
    program = new Program(['local', file], environment)
    await program.says(/all shards are connected/i)
    expect(discord.stats()).toMatchObject({ identifies: SHARDS, resumes: 0 })
    const [worker = 0] = descendants(program.child.pid ?? 0)
    process.kill(worker, 'SIGKILL')
    await program.says(/worker \d ended \(SIGKILL\) and is started again/)
    await resumed(SHARDS / 2)
    expect((await program.end('SIGTERM')).code).toBe(0)
    expect(discord.stats()).toMatchObject({ connectedShards: 0, sessions: SHARDS })

    program = new Program(['local', file], environment)
    await resumed(SHARDS / 2 + SHARDS)
    await program.says(/all shards are connected/i)
    expect(discord.stats()).toMatchObject({ identifies: SHARDS, resumesRefused: 0 })
    expect((await program.end('SIGTERM')).left).toEqual([])
  })
})

const SHARDS = 8

/** A manifest of one's own, with a Discord that outlives the runs of it. */
async function ownManifest() {
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
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'bot' }, stringData: { token, rest: 'rest' } }
  const spec = {
    ...{ totalShards: SHARDS, totalWorkers: 2, shardsPerWorker: SHARDS, tokenSecretRef: { name: 'bot' } },
    rest: { baseUrl: proxy.url, authorizationSecretRef: { name: 'bot', key: 'rest' } },
    gateway: { intents: ['Guilds'] },
    identify: { windowMilliseconds: 100 },
    events: [{ name: 'bot', http: { url: bot.url } }],
  }
  const cluster = { apiVersion: 'shardcluster.dev/v1alpha1', kind: 'ShardCluster', metadata: { name: 'bot' }, spec }
  const file = join(folder, 'bot.yaml')
  writeFileSync(file, `${stringify(secret)}---\n${stringify(cluster)}`)
  return { file, discord, environment: { XDG_STATE_HOME: folder } }
}
