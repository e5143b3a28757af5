import type { Range } from '../domain/ranges.ts'
import type {
  Assigned,
  AssignShards,
  GatewayOptions,
  Identified,
  IdentifyShard,
  Released,
  ReleaseShards,
} from '../protocol/commands.ts'
import type { Failure } from '../protocol/failures.ts'
import type { PayloadSent, SendPayload } from '../protocol/send-payload.ts'
import type { Session } from '../protocol/session.ts'
import type { StateRecord } from '../protocol/state.ts'
import type { WorkerBound } from './worker-bounds.ts'

/** The worker could not be reached, hung up, hung, or answered nonsense: nobody knows what it did. */
export interface Unknown {
  readonly code: 'UNKNOWN'
  readonly message: string
  /** The answer broke one: the worker is not to be believed. */
  readonly bound?: WorkerBound
}

/** What became of a command. Every outcome is a value: a worker that fails is expected. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure | Unknown }

/** One worker process, as the manager talks to it. Methods never throw but for `watch`. */
export interface WorkerPort {
  /** Resolves after READY or a failure. Aborting before IDENTIFY was sent takes the permit back. */
  identify(command: Omit<IdentifyShard, 'type'>, signal: AbortSignal): Promise<Answer<Identified>>
  assign(command: Omit<AssignShards, 'type'>, signal: AbortSignal): Promise<Answer<Assigned>>
  release(command: Omit<ReleaseShards, 'type'>, signal: AbortSignal): Promise<Answer<Released>>
  /** Resolves when it is clear of each shard whether it was sent. Aborting takes back what was not. */
  send(command: Omit<SendPayload, 'type'>, signal: AbortSignal): Promise<Answer<PayloadSent>>
  /**
   * Hands over each record of the state stream, the first of them a snapshot.
   * Resolves when the worker ends the stream, rejects when it breaks or `signal` aborts, with a WorkerBoundError when the
   * worker says more than one that may hold so many shards (`shards`, default: as many as there may be) would.
   */
  watch(onRecord: (record: StateRecord) => void, signal: AbortSignal, shards?: () => number): Promise<void>
}

/** A worker process that exists. */
export interface WorkerRef {
  /** 0 to `totalWorkers` - 1, or beyond while a scale-down is under way. */
  readonly ordinal: number
  /** The pod's UID, or the process' number: another one is another worker, and this one's shards are closed. */
  readonly uid: string
  /** For people: the pod's name. */
  readonly name: string
  readonly port: WorkerPort
  /** Shards it may hold until it is heard: its range as it was last published. */
  readonly presumed?: Range
  /** Whether a process runs in it now. Default: true. One that does not may start again, with what it held. */
  readonly running?: boolean
}

/** Keeps sessions where they outlive all workers and the manager itself. */
export interface SessionStore {
  /** What was saved for any worker of this ShardCluster, as old as it is now. @throws when it cannot be read. */
  load(): Promise<readonly Session[]>
  /** Replaces what was saved for this worker. @throws when it cannot be written. */
  save(ordinal: number, sessions: readonly SavedSession[]): Promise<void>
}

/** A session and whether it was connected when it was saved: then its end is not known. */
export interface SavedSession extends Session {
  readonly connected: boolean
}

/** What a ShardCluster shall be, as far as its manager is concerned. */
export interface Desired {
  /** undefined: Discord's recommendation. */
  readonly totalShards: number | undefined
  readonly totalWorkers: number
  readonly shardsPerWorker: number
  readonly shardMultiple: number | undefined
  readonly gateway: Omit<GatewayOptions, 'url'>
  /** Hosts that workers may connect to. */
  readonly gatewayHosts: readonly string[]
  readonly identify: {
    readonly reserve: number
    readonly order: 'Spread' | 'Strict'
    /** Milliseconds. */
    readonly windowMilliseconds: number
  }
  /** All sessions are saved at this pace, in milliseconds; 0: only when a worker drains and when the manager ends. */
  readonly saveSessionsMs: number
  /**
   * Changes when the user changed something that can mend a fatal close (the token, the intents, a retry
   * annotation): shards that Discord turned away for good are then tried again.
   */
  readonly remedy: string
}
