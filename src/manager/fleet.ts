import type { Range } from '../domain/ranges.ts'
import type { SinkRecord } from '../protocol/state.ts'
import type { SessionInfoProblem } from './session-info.ts'

/** One worker, as status and progress displays need it. */
export interface WorkerFleet {
  readonly ordinal: number
  readonly name: string | undefined
  readonly range: Range
  /** Shards of its range that are connected on it. */
  readonly ready: number
  /** Shards that it holds, wherever they belong. */
  readonly held: number
  readonly connected: boolean
  readonly draining: boolean
  readonly message: string | undefined
  readonly sinks: readonly SinkRecord[]
}

/** A ShardCluster as its manager sees it: plain data, made when asked for. Times are on the injected clock. */
export interface Fleet {
  /** undefined: not known yet, because Discord's recommendation is. */
  readonly totalShards: number | undefined
  readonly workers: readonly WorkerFleet[]
  /** Shards that are connected on the worker that shall hold them. */
  readonly ready: number
  /** Shards that have no session and wait for a slot, and those that are identifying or resuming now. */
  readonly waiting: number
  readonly identifying: number
  readonly resuming: number
  /** Shards on a worker that shall give them up. */
  readonly misplaced: number
  /** A close code that is a fact about the whole ShardCluster. */
  readonly fatal: { readonly closeCode: number; readonly shardId: number } | undefined
  readonly countProblem:
    | { readonly reason: 'TooManyShards' | 'IllegalShardCount'; readonly message: string }
    | undefined
  /** Some shards that keep failing to identify, worst first. */
  readonly failing: readonly { readonly shardId: number; readonly failures: number; readonly message: string }[]
  /** Shards that spent too many IDENTIFYs, soonest to go on first; `until` in RFC 3339. */
  readonly tripped: readonly { readonly shardId: number; readonly identifies: number; readonly until: string }[]
  /** Of the shards that resume, those whose connection was cut off under a worker that goes on, and how most were. */
  readonly cutOff: { readonly shards: number; readonly reason: string } | undefined
  readonly sessionProblem: SessionInfoProblem | undefined
  readonly maxConcurrency: number | undefined
  readonly budget: { readonly left: number; readonly total: number; readonly resetTime: string } | undefined
  readonly shortOfBudget: boolean
  readonly estimatedEnd: number | undefined
}
