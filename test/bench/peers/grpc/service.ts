import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Identified, IdentifyShard } from '../../../../src/protocol/commands.ts'
import type { Delta, Snapshot, StateRecord } from '../../../../src/protocol/state.ts'

/** A StateRecord as protobuf has it: one of the two. */
export interface StateMessage {
  readonly snapshot?: Omit<Snapshot, 'type'>
  readonly delta?: Omit<Delta, 'type'>
}

type WorkerService = ServiceDefinition & {
  readonly Watch: MethodDefinition<object, StateMessage>
  readonly Identify: MethodDefinition<Omit<IdentifyShard, 'type'>, Identified>
}

const FILE = fileURLToPath(new URL('./worker.proto', import.meta.url))
const definition = loadSync(FILE, { keepCase: true, longs: Number, enums: String, defaults: true })

/** The service of worker.proto. */
export const workerService = definition['shardcluster.Worker'] as unknown as WorkerService

/** @throws Error for DRAINED, which no worker of the benchmark says. */
export function toMessage(record: StateRecord): StateMessage {
  if (record.type === 'SNAPSHOT') return { snapshot: record }
  if (record.type === 'DELTA') return { delta: record }
  throw new Error(`worker.proto has no ${record.type}`)
}

export function fromMessage({ snapshot, delta }: StateMessage): StateRecord {
  if (snapshot) return { type: 'SNAPSHOT', ...snapshot }
  if (delta) return { type: 'DELTA', ...delta }
  throw new Error('the worker streamed a message that is no state record')
}
