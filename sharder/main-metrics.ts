import { AggregatorRegistry, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { SHARD_STATES } from '../src/protocol/state.ts'
import { registerBuildInfo } from '../src/support/build-info.ts'
import type { StateBoard } from './state-board.ts'
import type { StateReaders } from './state-readers.ts'
import type { GatewayWorker } from './worker.ts'

/** The worker's metrics as Prometheus text: the main thread's own, and the sum of its threads'. */
export class MainMetrics {
  readonly #registry = new Registry()
  readonly #worker: GatewayWorker

  constructor(board: StateBoard, worker: GatewayWorker, readers: StateReaders) {
    this.#worker = worker
    // Event-loop delay, heap and resident memory under their usual names.
    collectDefaultMetrics({ register: this.#registry })
    registerBuildInfo(this.#registry, 'shardcluster_worker_build_info')
    new Gauge({
      name: 'shardcluster_worker_state_readers',
      help: 'Who follows the state of this worker. 0: no manager listens.',
      registers: [this.#registry],
      collect() {
        this.set(readers.open.length)
      },
    })
    new Gauge({
      name: 'shardcluster_worker_shards',
      help: 'Shards of this worker by state.',
      labelNames: ['state'],
      registers: [this.#registry],
      collect() {
        const counts = new Map<string, number>(SHARD_STATES.map((state) => [state, 0]))
        for (const shardId of board.shardIds) {
          const state = board.shard(shardId)?.state ?? 'Offline'
          counts.set(state, (counts.get(state) ?? 0) + 1)
        }
        for (const [state, count] of counts) this.set({ state }, count)
      },
    })
  }

  async text(): Promise<{ contentType: string; text: string }> {
    const [own, threads] = await Promise.all([this.#registry.getMetricsAsJSON(), this.#worker.metrics()])
    const all = AggregatorRegistry.aggregate([own, ...threads])
    return { contentType: all.contentType, text: await all.metrics() }
  }
}
