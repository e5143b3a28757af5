import { FROM_WORKERS } from '../limits.ts'
import { STREAM_SILENCE_MS } from '../protocol/limits.ts'
import { SESSION_LIFETIME_MS } from '../protocol/session.ts'
import { background, guarded } from '../support/background.ts'
import { backoffDelay } from '../support/backoff.ts'
import { type Cancel, type Clock, sleep } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { foreignText } from '../support/text.ts'
import { ANY_CLAIM, checkClaim, type MayHold } from './claims.ts'
import type { Answer, WorkerRef } from './ports.ts'
import { type WorkerBound, WorkerBoundError } from './worker-bounds.ts'
import { type Changed, WorkerView } from './worker-view.ts'

export interface LinkOptions {
  readonly ref: WorkerRef
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** The view changed; `undefined`: the stream broke. */
  readonly onChange: (link: WorkerLink, changed: Changed | undefined) => void
  /** What the worker may say that it holds. Default: what any may. */
  readonly mayHold?: (link: WorkerLink) => MayHold
  /** The worker broke a bound, and is taken for one that is away. */
  readonly onBroken?: (bound: WorkerBound) => void
}

/** A pod that comes up is refused for a while; this is what its start may wait for us at most. Milliseconds. */
const LONGEST_PAUSE_MS = 5_000

const PACE = { baseMs: 100, capMs: LONGEST_PAUSE_MS }
/** One that breaks a bound will break it again: it is not let at the process every few seconds. */
const BROKEN_PACE = { baseMs: 1_000, capMs: FROM_WORKERS.longestPauseMs }

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
  /** Ends the present stream. */
  #broken = new AbortController()

  constructor(options: LinkOptions) {
    this.#options = options
    this.ref = options.ref
    this.view = new WorkerView(options.ref.ordinal, options.ref.presumed)
    this.#done = this.#run()
    background(this.#done, options.logger, 'worker link')
    this.running(options.ref.running ?? true)
  }

  /** Whether a process runs in the worker. One that does not for long holds nothing any more. */
  running(running: boolean): void {
    const { clock } = this.#options
    if (running) {
      this.#cancelGone?.()
      this.#cancelGone = undefined
    } else {
      this.#cancelGone ??= clock.after(TAKES_UP_MS, () => {
        if (this.view.connected || this.signal.aborted) return
        this.view.holdsNothing()
        this.#changed(undefined)
      })
    }
  }

  /** Aborted when the link is given up: whatever was asked of the worker is off. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  /** Takes an answer of the worker to a command: one that broke a bound ends the stream as well. */
  judged<T>(answer: Answer<T>): Answer<T> {
    if (answer.ok || answer.failure.code !== 'UNKNOWN' || !answer.failure.bound) return answer
    this.#broken.abort(new WorkerBoundError(answer.failure.bound, answer.failure.message))
    return answer
  }

  async stop(): Promise<void> {
    this.#cancelGone?.()
    this.#stopped.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options
    let breaches = 0
    for (let failures = 1; !this.signal.aborted; failures++) {
      const openedAt = clock.now()
      const ended = await this.#streamOnce()
      if (this.signal.aborted) return
      const longEnough = this.view.lastHeardAt - openedAt
      // Not as soon as anything was heard: a worker that says hello and breaks would be asked 15 times a second.
      if (longEnough >= LONGEST_PAUSE_MS) failures = 1
      if (longEnough >= FROM_WORKERS.longestPauseMs) breaches = 0
      const broke = ended instanceof WorkerBoundError
      if (broke) breaches++
      const delay = broke
        ? backoffDelay(breaches, { ...BROKEN_PACE, random })
        : backoffDelay(failures, { ...PACE, random })
      await sleep(clock, delay, this.signal)
    }
  }

  /** @returns why the stream ended; undefined: as it should. */
  async #streamOnce(): Promise<unknown> {
    const { ref, clock, mayHold = () => ANY_CLAIM } = this.#options
    const broken = new AbortController()
    this.#broken = broken
    const stopWatchdog = this.#watchSilence(broken)
    let ended: unknown
    try {
      await ref.port.watch(
        (record) => {
          checkClaim(this.view, record, mayHold(this))
          this.lastError = undefined
          this.#changed(this.view.apply(record, clock.now()))
        },
        AbortSignal.any([this.signal, broken.signal]),
        () => mayHold(this).shards,
      )
      this.lastError = 'the worker ended its state stream'
    } catch (error) {
      ended = broken.signal.aborted ? broken.signal.reason : error
      this.lastError = foreignText(messageOf(ended))
    } finally {
      stopWatchdog()
    }
    if (!this.signal.aborted) this.#lost(ended)
    return ended
  }

  #lost(why: unknown): void {
    const { ref, logger, onBroken } = this.#options
    if (why instanceof WorkerBoundError) {
      onBroken?.(why.bound)
      const about = { worker: ref.name, bound: why.bound, why: this.lastError }
      logger.warn(about, 'a worker says what none would say: it is taken for one that is away')
    } else if (this.view.connected && !this.view.drained) {
      // One that has drained ends it as it should.
      logger.warn({ worker: ref.name, why: this.lastError }, 'lost the state stream of a worker')
    }
    this.view.connected = false
    this.#changed(undefined)
  }

  #changed(changed: Changed | undefined): void {
    guarded(() => this.#options.onChange(this, changed), this.#options.logger, 'what a worker said')
  }

  /** One timer that moves on, instead of one a record. */
  #watchSilence(broken: AbortController): () => void {
    const { clock } = this.#options
    const startedAt = clock.now()
    let cancel = () => {}
    const check = () => {
      const silent = clock.now() - Math.max(startedAt, this.view.lastHeardAt)
      if (silent >= STREAM_SILENCE_MS) broken.abort(new Error(`silent for ${STREAM_SILENCE_MS / 1000} s`))
      else cancel = clock.after(STREAM_SILENCE_MS - silent, check)
    }
    cancel = clock.after(STREAM_SILENCE_MS, check)
    return () => cancel()
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
