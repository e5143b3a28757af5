import { Client, credentials, Metadata } from '@grpc/grpc-js'
import type { Answer, WorkerPort } from '../../../../src/manager/ports.ts'
import { type Identified, identifiedSchema } from '../../../../src/protocol/commands.ts'
import { stateRecordSchema } from '../../../../src/protocol/state.ts'
import { fromMessage, type StateMessage, workerService } from './service.ts'

export interface GrpcWorkerOptions {
  readonly port: number
  /** The key that the worker wants. */
  readonly authorization: string
  /**
   * Whether what arrives is parsed by the schemas of src/protocol as well, as the HTTP client does: protobuf knows types,
   * but neither ranges nor which fields must be there.
   */
  readonly checked: boolean
}

/** The manager's end of one worker over gRPC. */
export function grpcWorker(options: GrpcWorkerOptions): Pick<WorkerPort, 'identify' | 'watch'> {
  const { port, authorization, checked } = options
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  const metadata = new Metadata()
  metadata.set('authorization', authorization)
  return {
    identify: (command, signal) =>
      new Promise<Answer<Identified>>((resolve) => {
        const { path, requestSerialize, responseDeserialize } = workerService.Identify
        const answered = (error: Error | null, value?: Identified) => {
          signal.removeEventListener('abort', cancel)
          if (error || !value) resolve({ ok: false, failure: { code: 'UNKNOWN', message: String(error) } })
          else resolve({ ok: true, value: checked ? identifiedSchema.parse(value) : value })
        }
        const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, command, metadata, answered)
        const cancel = () => call.cancel()
        signal.addEventListener('abort', cancel, { once: true })
      }),
    watch: (onRecord, signal) =>
      new Promise<void>((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = workerService.Watch
        const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata)
        signal.addEventListener('abort', () => call.cancel(), { once: true })
        call.on('data', (message: StateMessage) => {
          const record = fromMessage(message)
          onRecord(checked ? stateRecordSchema.parse(record) : record)
        })
        call.on('end', resolve)
        call.on('error', reject)
      }),
  }
}
