// A worker's main thread as a process: the real server, or its gRPC peer, on the real board; shards are acted.
import { processClock as clock } from '../../../../sharder/process-clock.ts'
import { createServer } from '../../../../sharder/server.ts'
import { StateBoard } from '../../../../sharder/state-board.ts'
import { StateReaders } from '../../../../sharder/state-readers.ts'
import type { Reply } from '../../../../sharder/worker.ts'
import type { Command } from '../../../../src/protocol/commands.ts'
import { CHECKPOINT_MS, STATE_GATHER_MS } from '../../../../src/protocol/limits.ts'
import { createLogger } from '../../../../src/support/logger.ts'
import { takeOrders } from '../orders.ts'
import { ActedShards, digestOf } from './shards.ts'

/** The first argument, as JSON. */
export interface WireWorkerSettings {
  readonly grpc: boolean
  readonly workerId: number
  readonly shards: number
  readonly key: string
}

const { grpc, workerId, shards, key } = JSON.parse(process.argv[2] ?? '{}') as WireWorkerSettings
const board = new StateBoard(clock, { workerId, bootId: `boot-${workerId}`, epoch: 1, draining: false })
board.report(0, { sinks: [{ name: 'bot', state: 'Flowing', pending: 0 }] })
const shardIds = Array.from({ length: shards }, (_, i) => workerId * shards + i)
const acted = new ActedShards(board, clock, shardIds)
let acting: NodeJS.Timeout | undefined

takeOrders(
  {
    /** Checkpoints at the pace of a worker whose shards get events; or all shards step as often as is streamed. */
    act(load: 'checkpoints' | 'steps') {
      const [action, everyMs] =
        load === 'steps' ? [() => acted.step(), STATE_GATHER_MS] : [() => acted.checkpoint(), CHECKPOINT_MS]
      acting = setInterval(action, everyMs)
    },
    rest() {
      clearInterval(acting)
      acted.connectAll()
    },
    digest: () => digestOf(board.snapshot().shards),
  },
  { port: await listen() },
)

async function handle(command: Command): Promise<Reply> {
  if (command.type !== 'IDENTIFY_SHARD') throw new Error('the benchmark identifies only')
  const { shardId, slotInMs } = command
  const identifiedMsAgo = await acted.identify(shardId, slotInMs)
  return { ok: true, body: { identified: true, shardId, workerId, identifiedMsAgo } }
}

async function listen(): Promise<number> {
  if (grpc) {
    const { startGrpcServer } = await import('../../peers/grpc/server.ts')
    return startGrpcServer({ key, board, clock, handle })
  }
  const readers = new StateReaders(board, clock)
  const server = createServer({
    clock,
    logger: createLogger('worker', 'warn'),
    key: async () => key,
    handle,
    snapshot: () => JSON.stringify(board.snapshot()),
    watch: (reader) => readers.serve(reader),
    healthy: async () => true,
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  return server.port
}
