import type { ServerWritableStream } from '@grpc/grpc-js'
import type { StateBoard, Watcher } from '../../../../sharder/state-board.ts'
import { CHECKPOINT_MS, KEEPALIVE_MS, STATE_GATHER_MS } from '../../../../src/protocol/limits.ts'
import type { Drained, StateRecord } from '../../../../src/protocol/state.ts'
import type { Cancel, Clock } from '../../../../src/support/clock.ts'
import { type StateMessage, toMessage } from './service.ts'

/** One reader of the board over gRPC: gathers and holds back as the sharder's StateStream does. */
export class StateCall implements Watcher {
  readonly #call: ServerWritableStream<object, StateMessage>
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #dirty = new Set<number>()
  readonly #gone = new Set<number>()
  #headDirty = false
  #final: Drained | undefined
  #wanted = true
  #dueAt = Number.POSITIVE_INFINITY
  #cancel: Cancel = () => {}

  constructor(call: ServerWritableStream<object, StateMessage>, board: StateBoard, clock: Clock) {
    this.#call = call
    this.#board = board
    this.#clock = clock
    const unwatch = board.watch(this)
    call.on('cancelled', () => {
      unwatch()
      this.#wanted = false
      this.#cancel()
    })
    call.on('drain', () => {
      this.#wanted = true
      if (clock.now() >= this.#dueAt) this.#flush()
    })
    this.#write(board.snapshot())
    this.#dueBy(KEEPALIVE_MS)
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

  #flush(): void {
    if (!this.#wanted) return
    this.#cancel()
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#write(this.#board.delta(this.#dirty, [...this.#gone], this.#headDirty))
    this.#dirty.clear()
    this.#gone.clear()
    this.#headDirty = false
    if (this.#final) {
      this.#write(this.#final)
      this.#call.end()
      return
    }
    this.#dueBy(KEEPALIVE_MS)
  }

  #write(record: StateRecord): void {
    this.#wanted = this.#call.write(toMessage(record))
  }
}
