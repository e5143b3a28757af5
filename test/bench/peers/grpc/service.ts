import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Identified, IdentifyShard } from '../../../../src/protocol/commands.ts'
import type { Delta, Drained, SinkRecord, Snapshot, StateRecord } from '../../../../src/protocol/state.ts'

/** A StateRecord as protobuf has it: exactly one of the three. */
export interface StateMessage {
  readonly snapshot?: Omit<Snapshot, 'type'>
  readonly delta?: Omit<Delta, 'type' | 'sinks'> & { readonly sinks?: { readonly sinks: SinkRecord[] } }
  readonly drained?: Omit<Drained, 'type'>
}

type IdentifyMessage = Omit<IdentifyShard, 'type'>

type WorkerService = ServiceDefinition & {
  readonly Watch: MethodDefinition<object, StateMessage>
  readonly Identify: MethodDefinition<IdentifyMessage, Identified>
}

const FILE = fileURLToPath(new URL('./worker.proto', import.meta.url))
const definition = loadSync(FILE, { keepCase: true, longs: Number, enums: String, defaults: true })

/** The service of worker.proto. */
export const workerService = definition['shardcluster.Worker'] as unknown as WorkerService

export function toMessage(record: StateRecord): StateMessage {
  switch (record.type) {
    case 'SNAPSHOT':
      return { snapshot: record }
    case 'DELTA': {
      const { sinks, ...rest } = record
      return { delta: { ...rest, ...(sinks && { sinks: { sinks } }) } }
    }
    case 'DRAINED':
      return { drained: record }
  }
}

export function fromMessage({ snapshot, delta, drained }: StateMessage): StateRecord {
  if (snapshot) return { type: 'SNAPSHOT', ...snapshot }
  if (drained) return { type: 'DRAINED', ...drained }
  if (!delta) throw new Error('the worker streamed a message that is no state record')
  const { sinks, ...rest } = delta
  return { type: 'DELTA', ...rest, ...(sinks && { sinks: sinks.sinks }) }
}
