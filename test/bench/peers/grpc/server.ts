import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js'
import { Server, ServerCredentials, type ServiceError, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { StateBoard } from '../../../../sharder/state-board.ts'
import type { Reply } from '../../../../sharder/worker.ts'
import { type Command, commandSchema, type Identified, type IdentifyShard } from '../../../../src/protocol/commands.ts'
import { authorizationMatches } from '../../../../src/support/authorization.ts'
import type { Clock } from '../../../../src/support/clock.ts'
import { type StateMessage, workerService } from './service.ts'
import { StateCall } from './state-call.ts'

export interface GrpcServerOptions {
  /** The key that every call wants. */
  readonly key: string
  readonly board: StateBoard
  readonly clock: Clock
  readonly handle: (command: Command, signal: AbortSignal) => Promise<Reply>
}

/** The worker's end over gRPC. @returns its port. */
export function startGrpcServer({ key, board, clock, handle }: GrpcServerOptions): Promise<number> {
  const matches = authorizationMatches(key)
  const authorized = ({ metadata }: Pick<ServerUnaryCall<unknown, unknown>, 'metadata'>) =>
    matches(metadata.get('authorization')[0]?.toString())
  const server = new Server()
  server.addService(workerService, {
    Watch(call: ServerWritableStream<object, StateMessage>) {
      if (authorized(call)) new StateCall(call, board, clock)
      else call.destroy(refusal(status.UNAUTHENTICATED, 'Invalid authorization key.'))
    },
    Identify(call: ServerUnaryCall<Omit<IdentifyShard, 'type'>, Identified>, answer: sendUnaryData<Identified>) {
      if (!authorized(call)) return answer(refusal(status.UNAUTHENTICATED, 'Invalid authorization key.'))
      // Protobuf knows no limits: how far ahead a slot may be is checked here as there.
      const command = commandSchema.safeParse({ type: 'IDENTIFY_SHARD', ...call.request })
      if (!command.success) return answer(refusal(status.INVALID_ARGUMENT, command.error.message))
      const hungUp = new AbortController()
      call.on('cancelled', () => hungUp.abort())
      handle(command.data, hungUp.signal).then(
        (reply) =>
          reply.ok
            ? answer(null, reply.body as Identified)
            : answer(refusal(status.FAILED_PRECONDITION, reply.failure.message)),
        (error: Error) => answer(refusal(status.INTERNAL, error.message)),
      )
    },
  } satisfies UntypedServiceImplementation)
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    )
  })
}

const refusal = (code: status, details: string): Partial<ServiceError> & Error =>
  Object.assign(new Error(details), { code, details })
