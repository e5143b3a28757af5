import { isDeepStrictEqual } from 'node:util'
import { WORKER_RUNTIME } from '../../../src/protocol/worker-settings.ts'
import type { Calls, Wire, WireManagerSettings } from '../children/wire/manager.ts'
import type { StateSum } from '../children/wire/states.ts'
import type { WireWorkerSettings } from '../children/wire/worker.ts'
import { Child } from './child.ts'
import { COMPILE_CACHE } from './sharder.ts'
import { until } from './until.ts'
import { bytesReadBy, type MemoryUse, memoryOf } from './usage.ts'

const WORKER = new URL('../children/wire/worker.ts', import.meta.url)
const MANAGER = new URL('../children/wire/manager.ts', import.meta.url)
const LIBRARY = new URL('../children/wire/library.ts', import.meta.url)
const KEY = 'bench'

/** The workers of one wire, each a process. */
export class WireWorkers {
  readonly ports: readonly number[]
  readonly shards: number
  readonly #children: readonly Child[]

  private constructor(children: readonly Child[], shards: number) {
    this.#children = children
    this.shards = shards
    this.ports = children.map(({ said }) => (said as { port: number }).port)
  }

  /** `shards` each. They end with `ending`. */
  static async start(
    ending: AsyncDisposableStack,
    wire: WireWorkerSettings['wire'],
    workers: number,
    shards: number,
  ): Promise<WireWorkers> {
    const children: Child[] = []
    for (let workerId = 0; workerId < workers; workerId++) {
      const settings: WireWorkerSettings = { wire, workerId, shards, key: KEY }
      const env = { NODE_COMPILE_CACHE: COMPILE_CACHE, ...WORKER_RUNTIME }
      const child = await Child.start(WORKER, { args: [JSON.stringify(settings)], env })
      children.push(ending.adopt(child, (c) => c.stop()))
    }
    return new WireWorkers(children, shards)
  }

  /** Until `rest`: checkpoints once a second, or steps of every shard as often as they are streamed. */
  async act(load: 'checkpoints' | 'steps'): Promise<void> {
    await Promise.all(this.#children.map((child) => child.ask('act', load)))
  }

  async rest(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.ask('rest')))
  }

  sums(): Promise<StateSum[]> {
    return Promise.all(this.#children.map((child) => child.ask<StateSum>('sum')))
  }

  /** CPU time of all of them so far, in milliseconds. */
  async cpuMs(): Promise<number> {
    const each = await Promise.all(this.#children.map((child) => child.ask<number>('cpu')))
    return each.reduce((sum, ms) => sum + ms, 0)
  }
}

/** A manager's end in a process of its own. */
export class WireManager {
  readonly #child: Child
  readonly #workers: WireWorkers

  private constructor(child: Child, workers: WireWorkers) {
    this.#child = child
    this.#workers = workers
  }

  static async start(wire: Wire, workers: WireWorkers): Promise<WireManager> {
    const { ports, shards } = workers
    const settings: WireManagerSettings = { wire, ports, shards, key: KEY }
    const child = await Child.start(MANAGER, {
      args: [JSON.stringify(settings)],
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE },
    })
    return new WireManager(child, workers)
  }

  /** Opens every stream. @returns milliseconds until every shard was known. */
  connect(): Promise<number> {
    return this.#child.ask('connect')
  }

  async disconnect(): Promise<void> {
    await this.#child.ask('disconnect')
  }

  identify(calls: number, atOnce: number): Promise<Calls> {
    return this.#child.ask('identify', { calls, atOnce })
  }

  /** So many identifies evenly over `ms`, each sent `slotInMs` ahead. */
  async startShards(calls: number, ms: number, slotInMs: number): Promise<void> {
    await this.#child.ask('start', { calls, ms, slotInMs })
  }

  /** Shard records that arrived so far. */
  updates(): Promise<number> {
    return this.#child.ask('updates')
  }

  cpuMs(): Promise<number> {
    return this.#child.ask('cpu')
  }

  bytesRead(): number {
    return bytesReadBy(this.#child.pid)
  }

  memory(): MemoryUse {
    return memoryOf(this.#child.pid)
  }

  /** Resolves when it knows every shard as its worker does. */
  async agreesWithWorkers(): Promise<void> {
    await until('manager and workers agreeing', 30_000, async () =>
      isDeepStrictEqual(await this.#child.ask<StateSum[]>('sums'), await this.#workers.sums()),
    )
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}

/** What loading `module` adds to a process that has the protocol: milliseconds and bytes of RSS. */
export async function loadCost(module: URL): Promise<{ readonly loadMs: number; readonly rss: number }> {
  const child = await Child.start(LIBRARY, { args: [module.href], env: { NODE_COMPILE_CACHE: COMPILE_CACHE } })
  await child.stop()
  return child.said as { loadMs: number; rss: number }
}
