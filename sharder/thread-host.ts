import { Registry } from 'prom-client'
import { DISCORD_GATEWAY_HOSTS } from '../src/api/gateway-hosts.ts'
import type { WorkerSettings } from '../src/protocol/worker-settings.ts'
import type { Logger } from '../src/support/logger.ts'
import { threadMetrics } from './metrics.ts'
import { processClock } from './process-clock.ts'
import { ConnectGate } from './shard/connect-gate.ts'
import { ResumePace } from './shard/resume-pace.ts'
import { SHARD_TIMINGS, type ShardTimings } from './shard/timings.ts'
import { type GroupReport, ShardGroup } from './shard-group.ts'
import { AllSinks } from './sinks/all-sinks.ts'
import { openSink } from './sinks/open-sink.ts'
import { SecretFile } from './sinks/secret-file.ts'
import type { ThreadCall } from './thread-wire.ts'

/** Handshakes of one thread at a time: about 2 ms of CPU each. */
const HANDSHAKES_AT_ONCE = 48

/** A thread's shards, sinks and metrics, wired from the worker's settings. */
export class ThreadHost {
  readonly #group: ShardGroup
  readonly #sinks: AllSinks
  readonly #registry = new Registry()

  constructor(
    settings: WorkerSettings,
    logger: Logger,
    report: (report: GroupReport) => void,
    timings: ShardTimings = SHARD_TIMINGS,
  ) {
    const metrics = threadMetrics(this.#registry, () => this.#sinks.records())
    const common = {
      workerId: settings.workerId,
      clock: processClock,
      random: Math.random,
      logger,
      onChange: () => this.#group.sinksChanged(),
    }
    const sinks = settings.sinks.map((sink) => openSink(sink, { ...common, counts: metrics.sink(sink.name) }))
    this.#sinks = new AllSinks(sinks)
    const token = new SecretFile(settings.tokenFile, processClock)
    this.#group = new ShardGroup({
      clock: processClock,
      sinks: this.#sinks,
      report,
      environment: {
        random: Math.random,
        gatewayHosts: settings.gatewayHosts ?? DISCORD_GATEWAY_HOSTS,
        timings,
        logger,
        gate: new ConnectGate(HANDSHAKES_AT_ONCE),
        pace: new ResumePace(processClock, Math.random),
        counts: metrics.shards,
        token: async () => (await token.text()).replace(/^Bot /, ''),
      },
    })
  }

  /** Carries out one call; `signal` aborts when the caller has gone. */
  async handle(call: ThreadCall, signal: AbortSignal): Promise<unknown> {
    switch (call.type) {
      case 'HOLD':
        this.#group.hold(call.settings, call.holdings)
        return null
      case 'IDENTIFY':
        return this.#group.identify(call.shardId, call.slotAt, call.exact, signal)
      case 'RELEASE':
        return this.#group.release(call.shardIds)
      case 'SEND':
        return this.#group.send(call, signal)
      case 'DRAIN':
        return this.#group.drain(call.flushMs)
      case 'PING':
        return null
      case 'METRICS':
        return this.#registry.getMetricsAsJSON()
    }
  }

  async close(): Promise<void> {
    this.#group.close()
    await this.#sinks.close()
  }
}
