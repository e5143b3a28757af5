import { FROM_WORKERS } from '../limits.ts'
import type { Clock } from '../support/clock.ts'
import { burstBytes, bytesPerSecond, sizeText, WorkerBoundError } from './worker-bounds.ts'

/**
 * How much a state stream may bring: a bucket of bytes that fills at the pace of an honest worker of so many shards, and
 * one of records. A worker gathers for 20 ms and checkpoints each second, so one that goes on beyond that is wrong.
 */
export class StreamBudget {
  readonly #clock: Clock
  /** What was spent and has not been granted anew. */
  #bytes = 0
  #records = 0
  #at: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#at = clock.now()
  }

  /** A piece of so many bytes came, from a worker that may hold so many shards. @throws WorkerBoundError. */
  piece(bytes: number, shards: number): void {
    this.#refill(shards)
    this.#bytes += bytes + FROM_WORKERS.pieceBytes
    const pace = bytesPerSecond(shards)
    if (this.#bytes > burstBytes(shards))
      throw new WorkerBoundError('Rate', `the worker streams more than ${sizeText(pace)} a second, and does not stop`)
  }

  /** A record came. @throws WorkerBoundError. */
  record(): void {
    const { recordsPerSecond, burstMs } = FROM_WORKERS
    if (++this.#records > (recordsPerSecond * burstMs) / 1_000)
      throw new WorkerBoundError('Rate', `the worker streams more than ${recordsPerSecond} records a second`)
  }

  #refill(shards: number): void {
    const now = this.#clock.now()
    const seconds = Math.max(0, now - this.#at) / 1_000
    this.#at = now
    this.#bytes = Math.max(0, this.#bytes - seconds * bytesPerSecond(shards))
    this.#records = Math.max(0, this.#records - seconds * FROM_WORKERS.recordsPerSecond)
  }
}
