import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../src/support/clock.ts'
import type { StateBoard } from './state-board.ts'
import { StateStream } from './state-stream.ts'

/** Who reads the worker's state now. */
export class StateReaders {
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #open = new Set<StateStream>()
  readonly #told = Promise.withResolvers<void>()
  #waiting: (() => void)[] = []

  constructor(board: StateBoard, clock: Clock) {
    this.#board = board
    this.#clock = clock
  }

  /** Writes the worker's state to one more reader. Resolves when it left, or has all there will ever be. */
  async serve(reader: Writable): Promise<void> {
    const stream = new StateStream(this.#board, this.#clock)
    this.#open.add(stream)
    for (const resolve of this.#waiting.splice(0)) resolve()
    try {
      await pipeline(stream, reader)
      // A state stream ends with the last word and never before; by now the reader's socket has it.
      this.#told.resolve()
    } catch {
      // A reader that leaves is no error.
    } finally {
      this.#open.delete(stream)
    }
  }

  get open(): readonly StateStream[] {
    return [...this.#open]
  }

  /** Resolves when a reader has taken the worker's last word. */
  get told(): Promise<void> {
    return this.#told.promise
  }

  /** Resolves when there is a reader, at once if there is. */
  any(): Promise<void> {
    if (this.#open.size > 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
