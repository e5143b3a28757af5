import { background } from '../support/background.ts'
import { backoffDelay } from '../support/backoff.ts'
import type { Cancel, Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { SessionInfo, SessionInfoProblem, SessionInfoSource } from './session-info.ts'

export interface WatchOptions {
  /** `namespace/name` of the ShardCluster that asks. */
  readonly cluster: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** A question leaves. */
  readonly onAsk: () => void
  /** It was answered; undefined: there is a problem instead. */
  readonly onAnswer: (info: SessionInfo | undefined) => void
}

/** Session info is asked for again at this pace, in milliseconds: max_concurrency and the recommendation may change. */
const REFRESH_MS = 5 * 60_000

/**
 * As long as nothing was ever answered, failures make the pause no longer than this, in milliseconds: without it no
 * worker can be told where to connect, and sessions live for 90 s.
 */
const FIRST_ANSWER_MS = 20_000

/**
 * What the REST proxy of one ShardCluster says, asked for again every few minutes. It is shown to nobody but this
 * ShardCluster: another one of the same bot may trust another proxy.
 */
export class SessionInfoWatch {
  info: SessionInfo | undefined
  problem: SessionInfoProblem | undefined
  readonly #options: WatchOptions
  #source: SessionInfoSource
  #refreshing: Cancel | undefined
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #running = false

  constructor(source: SessionInfoSource, options: WatchOptions) {
    this.#source = source
    this.#options = options
  }

  /** When it was asked last, on the injected clock. */
  get askedAt(): number {
    return this.#askedAt
  }

  /** Asks now, and again every few minutes until `stop`. */
  start(): void {
    this.#running = true
    this.refresh()
  }

  stop(): void {
    this.#running = false
    this.#refreshing?.()
  }

  /** Asks another proxy, or with another key, from now on, and at once: the back-off was about the one before. */
  ask(source: SessionInfoSource): void {
    this.#source = source
    this.#failures = 0
    this.refresh()
  }

  /** Asks now, unless that is under way. */
  refresh(): void {
    if (this.#asking || !this.#running) return
    this.#asking = true
    this.#refreshing?.()
    background(this.#ask(), this.#options.logger, 'session info')
  }

  async #ask(): Promise<void> {
    const { cluster, clock, random, logger, onAsk, onAnswer } = this.#options
    const source = this.#source
    this.#askedAt = clock.now()
    onAsk()
    const answer = await source.ask().finally(() => {
      this.#asking = false
    })
    if (!this.#running) return
    if (source !== this.#source) return this.refresh()
    if (answer.ok) {
      this.#failures = 0
      this.problem = undefined
      this.info = answer.info
    } else {
      this.#failures++
      if (this.problem?.message !== answer.problem.message)
        logger.warn({ cluster, ...answer.problem }, 'no session info')
      this.problem = answer.problem
    }
    const pause = answer.ok
      ? this.#untilRefresh()
      : backoffDelay(this.#failures, { baseMs: 2_000, capMs: this.info ? REFRESH_MS : FIRST_ANSWER_MS, random })
    const atLeast = answer.ok ? 0 : (answer.problem.retryAfterMs ?? 0)
    this.#refreshing = clock.after(Math.max(pause, atLeast), () => this.refresh())
    onAnswer(answer.ok ? answer.info : undefined)
  }

  /** The next question: in a few minutes, or when Discord counts anew, if that is sooner. */
  #untilRefresh(): number {
    // Discord says 0 as long as nothing of the day was spent: taken at its word, it would be asked every second.
    const resetIn = this.info?.limit.resetAfter ?? 0
    return resetIn > 0 ? Math.min(REFRESH_MS, resetIn + 1_000) : REFRESH_MS
  }
}
