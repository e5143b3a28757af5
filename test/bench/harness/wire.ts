import { isDeepStrictEqual } from 'node:util'
import { WORKER_RUNTIME } from '../../../src/protocol/worker-settings.ts'
import type { Wire, WireManagerSettings } from '../children/wire/manager.ts'
import type { WireWorkerSettings } from '../children/wire/worker.ts'
import { Child } from './child.ts'
import { COMPILE_CACHE } from './sharder.ts'
import { until } from './until.ts'
import { bytesReadBy } from './usage.ts'

const WORKER = new URL('../children/wire/worker.ts', import.meta.url)
const MANAGER = new URL('../children/wire/manager.ts', import.meta.url)
const KEY = 'bench'

/** What something cost. CPU is milliseconds, of all workers together. */
export interface Used<T> {
  readonly result: T
  readonly managerCpu: number
  readonly workersCpu: number
  /** What the manager read. */
  readonly bytes: number
}

/** `count` workers of `shards` each, all processes. They end with `ending`. */
export async function startWorkers(
  ending: AsyncDisposableStack,
  grpc: boolean,
  count: number,
  shards: number,
): Promise<Child[]> {
  const workers: Child[] = []
  for (let workerId = 0; workerId < count; workerId++)
    workers.push(await start(ending, WORKER, { grpc, workerId, shards, key: KEY }, WORKER_RUNTIME))
  return workers
}

/** A manager process of its own and the workers that it speaks to. */
export class WireEnds {
  readonly manager: Child
  readonly workers: readonly Child[]

  private constructor(manager: Child, workers: readonly Child[]) {
    this.manager = manager
    this.workers = workers
  }

  static async start(ending: AsyncDisposableStack, wire: Wire, workers: readonly Child[], shards: number) {
    const ports = workers.map(({ said }) => (said as { port: number }).port)
    return new WireEnds(await start(ending, MANAGER, { wire, ports, shards, key: KEY }), workers)
  }

  /** Asks every worker. */
  each<T>(name: string, input?: unknown): Promise<T[]> {
    return Promise.all(this.workers.map((worker) => worker.ask<T>(name, input)))
  }

  async using<T>(action: () => Promise<T>): Promise<Used<T>> {
    const spent = async () => {
      const workers = await this.each<number>('cpu')
      const manager = await this.manager.ask<number>('cpu')
      return { manager, workers: workers.reduce((sum, ms) => sum + ms, 0), bytes: bytesReadBy(this.manager.pid) }
    }
    const before = await spent()
    const result = await action()
    const after = await spent()
    const [managerCpu, workersCpu] = [after.manager - before.manager, after.workers - before.workers]
    return { result, managerCpu, workersCpu, bytes: after.bytes - before.bytes }
  }

  /** Resolves when the manager knows every shard as its worker does. */
  async agree(): Promise<void> {
    await until('manager and workers agreeing', 30_000, async () =>
      isDeepStrictEqual(await this.manager.ask('digests'), await this.each('digest')),
    )
  }
}

async function start(
  ending: AsyncDisposableStack,
  file: URL,
  settings: WireManagerSettings | WireWorkerSettings,
  env = {},
): Promise<Child> {
  const options = { args: [JSON.stringify(settings)], env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...env } }
  return ending.adopt(await Child.start(file, options), (child) => child.stop())
}
