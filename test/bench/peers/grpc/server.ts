import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js'
import { Server, ServerCredentials, type ServiceError, status, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { StateBoard } from '../../../../sharder/state-board.ts'
import type { Reply } from '../../../../sharder/worker.ts'
import { type Command, commandSchema, type Identified, type IdentifyShard } from '../../../../src/protocol/commands.ts'
import { CHECKPOINT_MS, STATE_GATHER_MS } from '../../../../src/protocol/limits.ts'
import type { StateRecord } from '../../../../src/protocol/state.ts'
import { authorizationMatches } from '../../../../src/support/authorization.ts'
import type { Cancel, Clock } from '../../../../src/support/clock.ts'
import { type StateMessage, toMessage, workerService } from './service.ts'

export interface GrpcServerOptions {
  /** The key that every call wants. */
  readonly key: string
  readonly board: StateBoard
  readonly clock: Clock
  readonly handle: (command: Command, signal: AbortSignal) => Promise<Reply>
}

type WatchCall = ServerWritableStream<object, StateMessage>

/** The worker's end over gRPC. @returns its port. */
export function startGrpcServer({ key, board, clock, handle }: GrpcServerOptions): Promise<number> {
  const matches = authorizationMatches(key)
  const authorized = ({ metadata }: Pick<WatchCall, 'metadata'>) =>
    matches(metadata.get('authorization')[0]?.toString())
  const server = new Server()
  server.addService(workerService, {
    Watch(call: WatchCall) {
      if (authorized(call)) stream(call, board, clock)
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
        (reply) => {
          if (reply.ok) answer(null, reply.body as Identified)
          else answer(refusal(status.FAILED_PRECONDITION, reply.failure.message))
        },
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

/** A snapshot, then the shards that changed: gathered and held back as the sharder's StateStream does. */
function stream(call: WatchCall, board: StateBoard, clock: Clock): void {
  const dirty = new Set<number>()
  let [wanted, dueAt] = [true, Number.POSITIVE_INFINITY]
  let cancel: Cancel = () => {}
  const write = (record: StateRecord) => {
    wanted = call.write(toMessage(record))
  }
  const flush = () => {
    if (!wanted || dirty.size === 0) return
    cancel()
    dueAt = Number.POSITIVE_INFINITY
    write(board.delta(dirty, [], false))
    dirty.clear()
  }
  const shardChanged = (shardId: number, urgent: boolean) => {
    dirty.add(shardId)
    const at = clock.now() + (urgent ? STATE_GATHER_MS : CHECKPOINT_MS)
    if (at >= dueAt) return
    dueAt = at
    cancel()
    cancel = clock.after(at - clock.now(), flush)
  }
  const unwatch = board.watch({ shardChanged, shardGone() {}, headChanged() {}, drained() {} })
  call.on('drain', () => {
    wanted = true
    if (clock.now() >= dueAt) flush()
  })
  call.on('cancelled', () => {
    unwatch()
    cancel()
  })
  write(board.snapshot())
}

const refusal = (code: status, details: string): Partial<ServiceError> & Error =>
  Object.assign(new Error(details), { code, details })
