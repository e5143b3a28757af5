import { CHECKPOINT_MS } from '../src/protocol/limits.ts'
import type { Cancel, Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { sessionRecord } from './shard/summary.ts'
import type { StateBoard } from './state-board.ts'
import type { StoredState } from './state-file.ts'

/** Writes the worker's state for its successor; rejects when it cannot. */
export type WriteState = (state: StoredState) => Promise<void>

export interface StateKeeperOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly board: StateBoard
  /** The newest epoch that was heard. */
  readonly epoch: () => number
  /** undefined: nothing survives this process, and nothing is written. */
  readonly write: WriteState | undefined
}

/** A state that did not change is written again after this long, in milliseconds: its age is how old the sessions may be. */
const UNCHANGED_MS = 5_000

/**
 * Keeps the file that a killed process leaves to the next one in its pod: at most a second old, and up to date before
 * the manager is told that a shard was given up. Without the latter a restarted process would take back a shard that
 * another worker holds by then.
 */
export class StateKeeper {
  readonly #options: StateKeeperOptions
  #changed = true
  #writtenAt = Number.NEGATIVE_INFINITY
  #writing: Promise<void> = Promise.resolve()
  /** A save that has not begun to write: it will see what is so by then. */
  #next: Promise<void> | undefined
  #failed = false
  #cancel: Cancel = () => {}
  readonly #unwatch: () => void

  constructor(options: StateKeeperOptions) {
    this.#options = options
    const changed = () => {
      this.#changed = true
    }
    this.#unwatch = options.board.watch({
      shardChanged: changed,
      shardGone: changed,
      headChanged: changed,
      drained: changed,
    })
    if (options.write) this.#later()
  }

  /** Resolves when what is so now is written, or cannot be: then the manager's copy is all there is, and the log says why. */
  save(): Promise<void> {
    const { write } = this.#options
    if (!write) return Promise.resolve()
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined
      this.#writing = this.#write(write)
      return this.#writing
    })
    return this.#next
  }

  close(): void {
    this.#cancel()
    this.#unwatch()
  }

  #later(): void {
    const { clock } = this.#options
    this.#cancel = clock.after(CHECKPOINT_MS, () => {
      if (this.#changed || clock.now() - this.#writtenAt >= UNCHANGED_MS) void this.save()
      this.#later()
    })
  }

  async #write(write: WriteState): Promise<void> {
    const { clock, logger } = this.#options
    this.#changed = false
    try {
      await write(this.#state())
      this.#writtenAt = clock.now()
      this.#failed = false
    } catch (error) {
      this.#changed = true
      if (!this.#failed) logger.error({ err: error }, 'the state was not written; a killed process leaves no sessions')
      this.#failed = true
    }
  }

  #state(): StoredState {
    const { board, clock } = this.#options
    const { shelf, lastWord } = board
    const { assignment } = board.head
    const head = { epoch: this.#options.epoch(), ...(assignment && { assignment }) }
    // What it said last was that it holds nothing: its shards are whose the manager makes them.
    if (lastWord) return { ...head, held: [], sessions: [...lastWord.sessions, ...shelf.all()] }
    const held = [...board.shardIds]
    const own = held.flatMap((shardId) => {
      const session = board.shard(shardId)?.session
      return session ? [sessionRecord(shardId, session, clock.now())] : []
    })
    return { ...head, held, sessions: [...own, ...shelf.all()] }
  }
}
