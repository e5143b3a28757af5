import type { GatewayOptions } from '../../../../src/protocol/commands.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../../src/simulator/index.ts'
import type { Random } from '../../../support/random.ts'
import { type TestWorker, Workers } from '../../../support/sharder.ts'
import { HostileGateway } from './hostile-gateway.ts'
import { LineBot } from './line-bot.ts'

const TOKEN = fakeToken()
const never = new AbortController().signal

/** A worker in a process of its own, a hostile gateway between it and the simulated Discord, and a bot. */
export class Rig {
  readonly discord: Simulator
  readonly hostile: HostileGateway
  readonly bot: LineBot
  readonly worker: TestWorker
  readonly #workers: Workers

  private constructor(
    { discord, hostile, bot, worker }: Pick<Rig, 'discord' | 'hostile' | 'bot' | 'worker'>,
    workers: Workers,
  ) {
    this.discord = discord
    this.hostile = hostile
    this.bot = bot
    this.worker = worker
    this.#workers = workers
  }

  /** Its shards wait for IDENTIFY. */
  static async start(random: Random, compression: GatewayOptions['compression'], totalShards: number): Promise<Rig> {
    const hostile = await new HostileGateway(random).start()
    const discord = await startSimulator({
      timeScale: 50,
      heartbeatIntervalMs: 20_000,
      sessionLifetimeMs: 90_000,
      replayBuffer: 20_000,
      gatewayUrl: hostile.url,
      bots: [{ token: TOKEN, maxConcurrency: 64 }],
    })
    hostile.upstream = discord.url.replace(/^http/, 'ws')
    const bot = await new LineBot().start()
    const workers = new Workers()
    const worker = await workers.process({ token: TOKEN, sinkUrl: bot.url, threads: 2 })
    const gateway = { url: hostile.url, version: 10, intents: 513, compression }
    const range = { totalShards, first: 0, last: totalShards - 1, withhold: [] }
    const answer = await worker.port.assign({ epoch: 1, ...range, gateway, sessions: [] }, never)
    if (!answer.ok) throw new Error(`the worker refused: ${JSON.stringify(answer)}`)
    return new Rig({ discord, hostile, bot, worker }, workers)
  }

  identify(shardId: number) {
    return this.worker.port.identify({ shardId, slotInMs: 0 }, never)
  }

  /** shardcluster_worker_gateway_faults_total by reason. */
  async faultsCounted(): Promise<Map<string, number>> {
    const metrics = await (await fetch(`${this.worker.url}/metrics`)).text()
    const lines = metrics.matchAll(/^shardcluster_worker_gateway_faults_total\{reason="(\w+)"\} (\d+)$/gm)
    return new Map([...lines].map(([, reason, count]) => [reason as string, Number(count)]))
  }

  async close(): Promise<void> {
    await this.#workers.close()
    await this.hostile.close()
    await this.discord.close()
    this.bot.close()
  }
}
