import { STREAM_SILENCE_MS } from '../protocol/limits.ts'
import { SESSION_LIFETIME_MS } from '../protocol/session.ts'
import { backoffDelay } from '../support/backoff.ts'
import { type Cancel, type Clock, sleep } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { WorkerRef } from './ports.ts'
import { type Changed, WorkerView } from './worker-view.ts'

export interface LinkOptions {
  readonly ref: WorkerRef
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** The view changed; `undefined`: the stream broke. */
  readonly onChange: (link: WorkerLink, changed: Changed | undefined) => void
}

/** A pod that comes up is refused for a while; this is what its start may wait for us at most. Milliseconds. */
const LONGEST_PAUSE_MS = 5_000

/**
 * A process that comes up again takes up what its predecessor held, if that is not older than a session may be. After
 * this long nothing is taken up any more, by a clock that began no sooner; in milliseconds.
 */
const TAKES_UP_MS = SESSION_LIFETIME_MS + 10_000

/** Keeps the state stream of one worker open, and the view of it true. */
export class WorkerLink {
  readonly ref: WorkerRef
  readonly view: WorkerView
  /** Why the stream is not open, for people. */
  lastError: string | undefined
  readonly #stopped = new AbortController()
  readonly #options: LinkOptions
  readonly #done: Promise<void>
  #cancelGone: Cancel | undefined

  constructor(options: LinkOptions) {
    this.#options = options
    this.ref = options.ref
    this.view = new WorkerView(options.ref.ordinal, options.ref.presumed)
    this.#done = this.#run()
    this.running(options.ref.running ?? true)
  }

  /** Whether a process runs in the worker. One that does not for long holds nothing any more. */
  running(running: boolean): void {
    const { clock, onChange } = this.#options
    if (running) {
      this.#cancelGone?.()
      this.#cancelGone = undefined
    } else {
      this.#cancelGone ??= clock.after(TAKES_UP_MS, () => {
        if (this.view.connected || this.signal.aborted) return
        this.view.holdsNothing()
        onChange(this, undefined)
      })
    }
  }

  /** Aborted when the link is given up: whatever was asked of the worker is off. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  async stop(): Promise<void> {
    this.#cancelGone?.()
    this.#stopped.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options
    for (let failures = 1; !this.signal.aborted; failures++) {
      const openedAt = clock.now()
      await this.#streamOnce()
      if (this.signal.aborted) return
      // Not as soon as anything was heard: a worker that says hello and breaks would be asked 15 times a second.
      if (this.view.lastHeardAt - openedAt >= LONGEST_PAUSE_MS) failures = 1
      await sleep(clock, backoffDelay(failures, { baseMs: 100, capMs: LONGEST_PAUSE_MS, random }), this.signal)
    }
  }

  async #streamOnce(): Promise<void> {
    const { ref, clock, logger, onChange } = this.#options
    const broken = new AbortController()
    const stopWatchdog = this.#watchSilence(broken)
    try {
      await ref.port.watch(
        (record) => {
          this.lastError = undefined
          onChange(this, this.view.apply(record, clock.now()))
        },
        AbortSignal.any([this.signal, broken.signal]),
      )
      this.lastError = 'the worker ended its state stream'
    } catch (error) {
      this.lastError = broken.signal.aborted ? `silent for ${STREAM_SILENCE_MS / 1000} s` : messageOf(error)
    } finally {
      stopWatchdog()
    }
    if (this.signal.aborted) return
    // One that has drained ends it as it should.
    if (this.view.connected && !this.view.drained)
      logger.warn({ worker: ref.name, why: this.lastError }, 'lost the state stream of a worker')
    this.view.connected = false
    onChange(this, undefined)
  }

  /** One timer that moves on, instead of one a record. */
  #watchSilence(broken: AbortController): () => void {
    const { clock } = this.#options
    const startedAt = clock.now()
    let cancel = () => {}
    const check = () => {
      const silent = clock.now() - Math.max(startedAt, this.view.lastHeardAt)
      if (silent >= STREAM_SILENCE_MS) broken.abort()
      else cancel = clock.after(STREAM_SILENCE_MS - silent, check)
    }
    cancel = clock.after(STREAM_SILENCE_MS, check)
    return () => cancel()
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
