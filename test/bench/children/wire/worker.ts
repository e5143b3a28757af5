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
import { ActedShards } from './acted-shards.ts'
import { sumOf } from './states.ts'

/** The first argument, as JSON. */
export interface WireWorkerSettings {
  readonly wire: 'http' | 'grpc'
  readonly workerId: number
  readonly shards: number
  readonly key: string
}

const { wire, workerId, shards, key } = JSON.parse(process.argv[2] ?? '{}') as WireWorkerSettings
const first = workerId * shards
const board = new StateBoard(clock, {
  workerId,
  bootId: `boot-${workerId}`,
  epoch: 1,
  draining: false,
  assignment: {
    totalShards: 10 * shards,
    first,
    last: first + shards - 1,
    withhold: [],
    gateway: { url: 'wss://gateway.discord.gg', version: 10, intents: 513, compression: 'None' },
  },
})
board.report(0, { sinks: [{ name: 'bot', state: 'Flowing', pending: 0 }] })
const acted = new ActedShards(board, clock, workerId, shards)
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
    sum: () => sumOf(board.snapshot().shards),
    cpu: () => cpuMs(),
  },
  { port: await listen() },
)

async function handle(command: Command): Promise<Reply> {
  if (command.type !== 'IDENTIFY_SHARD') throw new Error('the benchmark identifies only')
  return { ok: true, body: await acted.identify(command.shardId, command.slotInMs) }
}

async function listen(): Promise<number> {
  if (wire === 'grpc') {
    const { startGrpcServer } = await import('../../peers/grpc/server.ts')
    return startGrpcServer({ key, board, clock, handle })
  }
  const readers = new StateReaders(board, clock)
  const server = createServer({
    logger: createLogger('worker', 'warn'),
    key: async () => key,
    handle,
    snapshot: () => JSON.stringify(board.snapshot()),
    watch: () => readers.add(),
    healthy: async () => true,
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  return server.port
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
