import type { Clock } from '../src/support/clock.ts'
import type { StateBoard } from './state-board.ts'
import { StateStream } from './state-stream.ts'

/** Who reads the worker's state now. */
export class StateReaders {
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #open = new Set<StateStream>()
  #waiting: (() => void)[] = []

  constructor(board: StateBoard, clock: Clock) {
    this.#board = board
    this.#clock = clock
  }

  /** A stream for one more reader. */
  add(): StateStream {
    const stream = new StateStream(this.#board, this.#clock)
    this.#open.add(stream)
    stream.once('close', () => this.#open.delete(stream))
    for (const resolve of this.#waiting.splice(0)) resolve()
    return stream
  }

  get open(): readonly StateStream[] {
    return [...this.#open]
  }

  /** Resolves when there is a reader, at once if there is. */
  any(): Promise<void> {
    if (this.#open.size > 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
