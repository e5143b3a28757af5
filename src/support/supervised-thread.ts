import { type ResourceLimits, Worker } from 'node:worker_threads'
import { backoffDelay } from './backoff.ts'
import type { Cancel, Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import { Answers, type FromAsker, type ToAsker } from './thread-questions.ts'

/** What a supervised thread says. */
export type FromThread =
  | FromAsker
  /** It is up, with what it has to say about that. */
  | { readonly ready: unknown }
  /** It cannot start, and ends. */
  | { readonly unable: { readonly message: string; readonly code?: string | undefined } }
  /** It turns. */
  | { readonly pong: true }

/** What it is told: answers to its questions, whether it turns, and what its owner has to say. */
export type ToThread = ToAsker | { readonly ping: true } | { readonly tell: unknown }

export interface SupervisedOptions {
  /** For people, and the thread's name. */
  readonly name: string
  readonly script: URL
  /** `workerData` of each start; `ready` is what the first start said. */
  readonly data: (ready: unknown) => unknown
  readonly limits: ResourceLimits
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Answers what the thread asks. The signal aborts when the thread takes it back, or is gone. */
  readonly answer: (question: unknown, signal: AbortSignal) => Promise<unknown>
  /** It was started again and is up; what it was told before it does not know. */
  readonly onRestarted?: () => void
  /** It ended and is about to be started again. */
  readonly onEnded?: () => void
}

/** One that ends is started again after 100 ms, and after longer and longer when it ends again at once. */
const RESTART = { baseMs: 100, capMs: 10_000 }
/** One that lived so long was healthy, in milliseconds. */
const HEALTHY_MS = 60_000
/** It is asked so often whether it turns, in milliseconds. */
export const PING_MS = 5_000
/**
 * So many pings without a word from it: it is ended. Pings are counted, not seconds, because a process that stood still
 * (a frozen machine) knows nothing about its threads.
 */
export const PINGS_UNANSWERED = 6

/**
 * A thread that serves others than its process: whatever becomes of it (out of memory, a bug, a loop that does not
 * end), the main thread goes on, and it is started again.
 */
export class SupervisedThread {
  readonly #options: SupervisedOptions
  #thread: Worker | undefined
  #answers: Answers
  #ready: unknown
  #wasReady = false
  #startedAt = 0
  #failures = 0
  #closing = false
  #cancelRestart: Cancel = () => {}

  constructor(options: SupervisedOptions) {
    this.#options = options
    this.#answers = this.#newAnswers()
  }

  /** Starts it. @returns what it said when it was up. @throws Error when it cannot start the first time. */
  start(): Promise<unknown> {
    return new Promise((resolve, reject) => this.#start(resolve, reject))
  }

  /** Tells it something, if it is there; what it is to know always, it is told again `onRestarted`. */
  tell(message: unknown): void {
    this.#post({ tell: message })
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#cancelRestart()
    this.#answers.abandon()
    await this.#thread?.terminate()
  }

  #newAnswers(): Answers {
    const { answer, logger, name } = this.#options
    return new Answers(answer, (error) => logger.error({ err: error, thread: name }, 'a question of a thread failed'))
  }

  #start(onReady: (ready: unknown) => void, onUnable: (error: Error) => void): void {
    const { script, name, data, limits, clock } = this.#options
    const thread = new Worker(script, { name, workerData: data(this.#ready), resourceLimits: limits })
    this.#thread = thread
    this.#startedAt = clock.now()
    const stopPings = this.#watch(thread)
    let why: Error | undefined
    thread.on('message', (message: FromThread) => {
      if ('ready' in message) onReady(this.#isReady(message.ready))
      else if ('unable' in message)
        why = Object.assign(new Error(message.unable.message), { code: message.unable.code })
      else if (!('pong' in message)) this.#answers.hear(message, (answer) => this.#postTo(thread, answer))
    })
    thread.on('error', (error) => {
      why = error as Error
    })
    thread.on('exit', () => {
      stopPings()
      if (!this.#wasReady && !this.#closing) onUnable(why ?? new Error(`the thread ${name} ended before it was up`))
      else this.#ended(why)
    })
  }

  #isReady(ready: unknown): unknown {
    this.#ready = ready
    this.#wasReady = true
    return ready
  }

  /** @returns what ends the watch. */
  #watch(thread: Worker): () => void {
    const { clock, logger, name } = this.#options
    let unanswered = 0
    let cancel: Cancel = () => {}
    const ping = () => {
      if (unanswered >= PINGS_UNANSWERED) {
        logger.error({ thread: name }, 'a thread does not answer: it is ended and started again')
        void thread.terminate()
        return
      }
      unanswered++
      this.#postTo(thread, { ping: true })
      cancel = clock.after(PING_MS, ping)
    }
    thread.on('message', () => {
      unanswered = 0
    })
    cancel = clock.after(PING_MS, ping)
    return () => cancel()
  }

  #ended(why: Error | undefined): void {
    const { clock, random, logger, name, onEnded, onRestarted } = this.#options
    this.#thread = undefined
    this.#answers.abandon()
    this.#answers = this.#newAnswers()
    if (this.#closing) return
    this.#failures = clock.now() - this.#startedAt >= HEALTHY_MS ? 1 : this.#failures + 1
    logger.error({ err: why, thread: name, failures: this.#failures }, 'a thread ended: it is started again')
    onEnded?.()
    this.#cancelRestart = clock.after(backoffDelay(this.#failures, { ...RESTART, random }), () =>
      this.#start(
        () => {
          logger.info({ thread: name }, 'the thread is up again')
          onRestarted?.()
        },
        () => {},
      ),
    )
  }

  #post(message: ToThread): void {
    if (this.#thread) this.#postTo(this.#thread, message)
  }

  #postTo(thread: Worker, message: ToThread): void {
    thread.postMessage(message)
  }
}
