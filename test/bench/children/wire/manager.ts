// A manager's end of the wire as a process: the real client, or its gRPC peer, and the real view of each worker.
import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerPort } from '../../../../src/manager/ports.ts'
import { WorkerView } from '../../../../src/manager/worker-view.ts'
import { takeOrders } from '../orders.ts'
import { type StateSum, sumOf } from './states.ts'

export type Wire = 'http' | 'grpc' | 'grpc-checked'

/** The first argument, as JSON. */
export interface WireManagerSettings {
  readonly wire: Wire
  readonly ports: readonly number[]
  readonly shards: number
  readonly key: string
}

/** Milliseconds between the call and its answer. */
export interface Calls {
  readonly p50: number
  readonly p99: number
}

type Port = Pick<WorkerPort, 'identify' | 'watch'>
type Open = () => Promise<{ readonly workers: readonly Port[]; close(): Promise<void> }>

const { wire, ports, shards, key: authorization } = JSON.parse(process.argv[2] ?? '{}') as WireManagerSettings
const open = await (wire === 'http' ? overHttp() : overGrpc())
let opened: Awaited<ReturnType<Open>> | undefined
let views: readonly WorkerView[] = []
let stop = new AbortController()
let updates = 0

takeOrders({
  /** Watches every worker. @returns milliseconds until all shards are known. */
  async connect(): Promise<number> {
    const startedAt = performance.now()
    opened = await open()
    stop = new AbortController()
    views = ports.map((_, ordinal) => new WorkerView(ordinal))
    await Promise.all(opened.workers.map((worker, ordinal) => watch(worker, views[ordinal] as WorkerView)))
    return performance.now() - startedAt
  },
  async disconnect(): Promise<void> {
    stop.abort()
    await opened?.close()
  },
  /** So many calls, at most `atOnce` at a time, over all workers in turn. */
  async identify({ calls, atOnce }: { readonly calls: number; readonly atOnce: number }): Promise<Calls> {
    let next = 0
    const taken: number[] = []
    const lane = async () => {
      for (let call = next++; call < calls; call = next++) {
        const startedAt = performance.now()
        await identify(call, 0)
        taken.push(performance.now() - startedAt)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, lane))
    taken.sort((a, b) => a - b)
    const at = (share: number) => taken[Math.floor(share * (taken.length - 1))] as number
    return { p50: at(0.5), p99: at(0.99) }
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
  sums: (): StateSum[] => views.map((view) => sumOf(view.shards.values())),
  cpu() {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  },
})

/** Resolves with the snapshot. @throws Error when the stream breaks before it. */
function watch(worker: Port, view: WorkerView): Promise<void> {
  return new Promise((resolve, reject) => {
    const watched = worker.watch((record) => {
      updates += view.apply(record, performance.now()).shardIds.length
      resolve()
    }, stop.signal)
    watched.catch((error: unknown) => {
      if (!stop.signal.aborted) reject(error)
    })
  })
}

async function identify(call: number, slotInMs: number): Promise<void> {
  const ordinal = call % ports.length
  const shardId = ordinal * shards + (Math.floor(call / ports.length) % shards)
  const answer = await opened?.workers[ordinal]?.identify({ shardId, epoch: 1, slotInMs }, stop.signal)
  if (!answer?.ok) throw new Error(`an identify failed: ${answer?.failure.message}`)
}

async function overHttp(): Promise<Open> {
  const { httpWorker, workerAgent } = await import('../../../../src/manager/http-worker.ts')
  return async () => {
    const dispatcher = workerAgent()
    const url = (port: number) => `http://127.0.0.1:${port}`
    const workers = ports.map((port) => httpWorker({ url: url(port), authorization, dispatcher }))
    return { workers, close: () => dispatcher.destroy() }
  }
}

async function overGrpc(): Promise<Open> {
  const { grpcWorker } = await import('../../peers/grpc/client.ts')
  return async () => {
    const workers = ports.map((port) => grpcWorker({ port, authorization, checked: wire === 'grpc-checked' }))
    return {
      workers,
      async close() {
        for (const worker of workers) worker.close()
      },
    }
  }
}
