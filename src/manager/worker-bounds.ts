import { FROM_WORKERS } from '../limits.ts'

const SECOND_MS = 1_000

/**
 * What a worker said too much of, as the metric has it.
 * - `Line`: a line of its state stream is too long.
 * - `Rate`: its state stream brings too much, or too many records, for its shards.
 * - `Record`: a line is no state record.
 * - `Shards`: it speaks of shards that are none of the ShardCluster's, or that it was not asked about.
 * - `Claim`: it says that it holds more shards than it may.
 * - `Answer`: its answer to a command is too large.
 */
export type WorkerBound = 'Line' | 'Rate' | 'Record' | 'Shards' | 'Claim' | 'Answer'

/** A worker broke a bound: it is taken for one that is away. `message` says which bound, for people. */
export class WorkerBoundError extends Error {
  override readonly name = 'WorkerBoundError'
  readonly bound: WorkerBound

  constructor(bound: WorkerBound, message: string) {
    super(message)
    this.bound = bound
  }
}

/** The longest line of the state stream of a worker that may hold so many shards, in bytes. */
export const lineBytes = (shards: number): number =>
  Math.min(FROM_WORKERS.longestLineBytes, FROM_WORKERS.lineBytes + shards * FROM_WORKERS.lineBytesPerShard)

/** What such a worker streams each second at most, on average, in bytes. */
export const bytesPerSecond = (shards: number): number =>
  FROM_WORKERS.bytesPerSecond + shards * FROM_WORKERS.bytesPerSecondPerShard

/** What it may bring at once: a snapshot, the first delta, which may name every shard again, and what was held back. */
export const burstBytes = (shards: number): number =>
  2 * lineBytes(shards) + Math.min(FROM_WORKERS.burstBytes, (bytesPerSecond(shards) * FROM_WORKERS.burstMs) / SECOND_MS)

/** The largest answer to a command that named so many shards, in bytes. */
export const answerBytes = (named: number): number =>
  Math.min(FROM_WORKERS.longestLineBytes, FROM_WORKERS.answerBytes + named * FROM_WORKERS.answerBytesPerShard)

/** Bytes for people. */
export const sizeText = (bytes: number): string => `${Math.ceil(bytes / 1_024)} KB`
