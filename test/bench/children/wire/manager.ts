// A manager's end of the wire as a process: the real client, or its gRPC peer, and the real view of each worker.
import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerPort } from '../../../../src/manager/ports.ts'
import { WorkerView } from '../../../../src/manager/worker-view.ts'
import { forEach } from '../../harness/until.ts'
import { takeOrders } from '../orders.ts'
import { digestOf } from './shards.ts'

export type Wire = 'http' | 'grpc' | 'grpc-checked'

/** The first argument, as JSON. */
export interface WireManagerSettings {
  readonly wire: Wire
  readonly ports: readonly number[]
  readonly shards: number
  readonly key: string
}

const { wire, ports, shards, key } = JSON.parse(process.argv[2] ?? '{}') as WireManagerSettings
const workers: readonly Pick<WorkerPort, 'identify' | 'watch'>[] = await (wire === 'http' ? overHttp() : overGrpc())
const views = ports.map((_, ordinal) => new WorkerView(ordinal))
const { signal } = new AbortController()
let updates = 0

takeOrders({
  /** Watches every worker. @returns milliseconds until all shards are known. */
  async connect(): Promise<number> {
    const startedAt = performance.now()
    await Promise.all(workers.map((worker, ordinal) => watch(worker, views[ordinal] as WorkerView)))
    return performance.now() - startedAt
  },
  /** So many calls, at most `atOnce` at a time, over all workers in turn. @returns milliseconds of each. */
  async identify({ calls, atOnce }: { readonly calls: number; readonly atOnce: number }): Promise<number[]> {
    const taken: number[] = []
    await forEach([...Array(calls).keys()], atOnce, async (call) => {
      const startedAt = performance.now()
      await identify(call, 0)
      taken.push(performance.now() - startedAt)
    })
    return taken
  },
  /** A start at Discord's pace: calls evenly over `ms`, each sent ahead of its slot. */
  async start({ calls, ms, slotInMs }: { readonly calls: number; readonly ms: number; readonly slotInMs: number }) {
    const answers: Promise<void>[] = []
    for (let call = 0; call < calls; call++) {
      answers.push(identify(call, slotInMs))
      await sleep(ms / calls)
    }
    await Promise.all(answers)
  },
  /** Shard records that arrived so far. */
  updates: () => updates,
  digests: () => views.map((view) => digestOf(view.shards.values())),
})

/** Resolves with the snapshot. @throws Error when the stream breaks before it. */
function watch(worker: Pick<WorkerPort, 'watch'>, view: WorkerView): Promise<void> {
  return new Promise((resolve, reject) => {
    const onRecord: Parameters<WorkerPort['watch']>[0] = (record) => {
      updates += view.apply(record, performance.now()).shardIds.length
      resolve()
    }
    worker.watch(onRecord, signal).catch(reject)
  })
}

async function identify(call: number, slotInMs: number): Promise<void> {
  const ordinal = call % ports.length
  const shardId = ordinal * shards + (Math.floor(call / ports.length) % shards)
  const answer = await workers[ordinal]?.identify({ shardId, epoch: 1, slotInMs }, signal)
  if (!answer?.ok) throw new Error(`an identify failed: ${answer?.failure.message}`)
}

async function overHttp() {
  const { httpWorker, workerAgent } = await import('../../../../src/manager/http-worker.ts')
  const dispatcher = workerAgent()
  return ports.map((port) => httpWorker({ url: `http://127.0.0.1:${port}`, keys: () => [key], dispatcher }))
}

async function overGrpc() {
  const { grpcWorker } = await import('../../peers/grpc/client.ts')
  return ports.map((port) => grpcWorker({ port, authorization: key, checked: wire === 'grpc-checked' }))
}
