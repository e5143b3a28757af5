import { Readable } from 'node:stream'
import { CHECKPOINT_MS, KEEPALIVE_MS, STATE_GATHER_MS } from '../src/protocol/limits.ts'
import type { Drained, StateRecord } from '../src/protocol/state.ts'
import type { Cancel, Clock } from '../src/support/clock.ts'
import type { StateBoard, Watcher } from './state-board.ts'

/**
 * One reader of the board as newline-delimited JSON: a snapshot, then deltas. It remembers which shards changed, not
 * what they were: a reader that does not keep up gets fewer, larger deltas, and memory stays bounded by the shards.
 */
export class StateStream extends Readable implements Watcher {
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #dirty = new Set<number>()
  readonly #gone = new Set<number>()
  readonly #unwatch: () => void
  #headDirty = false
  #final: Drained | undefined
  #started = false
  /** The reader takes more. */
  #wanted = false
  #dueAt = Number.POSITIVE_INFINITY
  #cancel: Cancel = () => {}

  constructor(board: StateBoard, clock: Clock) {
    super({ highWaterMark: 64 * 1024 })
    this.#board = board
    this.#clock = clock
    this.#unwatch = board.watch(this)
    this.#dueBy(KEEPALIVE_MS)
  }

  override _read(): void {
    this.#wanted = true
    if (!this.#started) {
      this.#started = true
      this.#write(this.#board.snapshot())
    }
    if (this.#clock.now() >= this.#dueAt) this.#flush()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#unwatch()
    this.#cancel()
    done(error)
  }

  shardChanged(shardId: number, urgent: boolean): void {
    this.#gone.delete(shardId)
    this.#dirty.add(shardId)
    this.#dueBy(urgent ? STATE_GATHER_MS : CHECKPOINT_MS)
  }

  shardGone(shardId: number): void {
    this.#dirty.delete(shardId)
    this.#gone.add(shardId)
    this.#dueBy(STATE_GATHER_MS)
  }

  headChanged(): void {
    this.#headDirty = true
    this.#dueBy(STATE_GATHER_MS)
  }

  drained(record: Drained): void {
    this.#final = record
    this.#dueBy(0)
  }

  #dueBy(milliseconds: number): void {
    const at = this.#clock.now() + milliseconds
    if (at >= this.#dueAt) return
    this.#dueAt = at
    this.#cancel()
    this.#cancel = this.#clock.after(milliseconds, () => this.#flush())
  }

  /** Writes what is dirty, if the reader takes it; else _read comes back when it does. */
  #flush(): void {
    if (!this.#wanted || !this.#started || this.destroyed) return
    this.#cancel()
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#write(this.#board.delta(this.#dirty, [...this.#gone], this.#headDirty))
    this.#dirty.clear()
    this.#gone.clear()
    this.#headDirty = false
    if (this.#final) {
      this.#write(this.#final)
      this.push(null)
      return
    }
    this.#dueBy(KEEPALIVE_MS)
  }

  #write(record: StateRecord): void {
    this.#wanted = this.push(`${JSON.stringify(record)}\n`)
  }
}
