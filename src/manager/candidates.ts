import { rankOf } from '../domain/identify-order.ts'
import type { Candidate } from '../domain/identify-schedule.ts'
import type { ShardRecord } from '../protocol/state.ts'
import type { IdentifyAttempts } from './identify-attempts.ts'
import type { Desired } from './ports.ts'
import type { SessionLedger } from './session-ledger.ts'

export interface CandidateOptions {
  /** `namespace/name`. */
  readonly cluster: string
  readonly sessions: SessionLedger
  readonly attempts: IdentifyAttempts
}

/** What the ranks are reckoned from. */
export interface CandidateContext {
  readonly desired: Desired
  readonly totalShards: number
  readonly maxConcurrency: number
  /** On the injected clock. */
  readonly now: number
}

/** The shards of one ShardCluster that wait for a slot. */
export class Candidates {
  readonly #options: CandidateOptions
  readonly #waiting = new Map<number, Candidate>()
  /** When each began to wait, on the injected clock: counting anew does not change it. */
  readonly #since = new Map<number, number>()

  constructor(options: CandidateOptions) {
    this.#options = options
  }

  all(): Iterable<Candidate> {
    return this.#waiting.values()
  }

  clear(): void {
    this.#waiting.clear()
  }

  remove(shardId: number): void {
    this.#waiting.delete(shardId)
  }

  /** The shard got its slot. @returns when it began to wait for it, on the injected clock. */
  granted(shardId: number): number | undefined {
    const since = this.#since.get(shardId)
    this.connected(shardId)
    return since
  }

  /** The shard needs no slot any more. */
  connected(shardId: number): void {
    this.#waiting.delete(shardId)
    this.#since.delete(shardId)
  }

  /** The shard waits; `record` is what its worker says of it. */
  add(record: ShardRecord, { desired, totalShards, maxConcurrency, now }: CandidateContext): void {
    const { cluster, sessions, attempts } = this.#options
    const { shardId } = record
    const { order, reserve } = desired.identify
    if (!this.#since.has(shardId)) this.#since.set(shardId, now)
    this.#waiting.set(shardId, {
      cluster,
      shardId,
      rank: rankOf(shardId, order, { totalShards, totalWorkers: desired.totalWorkers, maxConcurrency }),
      // Wherever that was: a shard that moved with its session and lost it then recovers too.
      recovering: record.recovering || record.ended !== undefined || sessions.knows(shardId),
      notBefore: attempts.notBefore(shardId, now) ?? Number.NEGATIVE_INFINITY,
      reserve,
      strict: order === 'Strict',
    })
  }
}
