import { Worker } from 'node:worker_threads'
import type { WorkerSettings } from '../src/protocol/worker-settings.ts'
import { backoffDelay } from '../src/support/backoff.ts'
import type { Cancel, Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import type { GroupReport } from './shard-group.ts'
import type { FromThread, ThreadCalls, ThreadData, ToThread } from './thread-wire.ts'

/** The thread ended while it worked on a call. */
export class ThreadDied extends Error {}

/** The threads of a worker, as its state needs them. */
export interface ThreadPool {
  readonly count: number
  /** Asks thread `index`. Aborting `signal` tells the thread; the answer still comes. @throws ThreadDied */
  call<K extends keyof ThreadCalls>(
    index: number,
    type: K,
    ask: ThreadCalls[K]['ask'],
    signal?: AbortSignal,
  ): Promise<ThreadCalls[K]['answer']>
  close(): Promise<void>
}

export interface ThreadsOptions {
  readonly settings: WorkerSettings
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly onReport: (index: number, report: GroupReport) => void
  /** A thread ended; it holds nothing any more. */
  readonly onDied: (index: number) => void
  /** The thread that ended has been replaced by an empty one. */
  readonly onReplaced: (index: number) => void
}

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** A thread that died is replaced after 100 ms, and after longer and longer when it dies again at once. */
const REPLACE = { baseMs: 100, capMs: 10_000 }
/** A thread that lived this long was healthy, in milliseconds. */
const HEALTHY_MS = 60_000

/**
 * A thread makes hardly any garbage, but V8 would let its young generation grow to 48 MB before it looks. The same as
 * WORKER_RUNTIME says, for pods that have their NODE_OPTIONS from a ConfigMap: semi-spaces of 1 MB, of which V8 counts
 * three.
 */
const LIMITS = { maxYoungGenerationSizeMb: 3 }

/** One worker thread and its successors. */
class ThreadSlot {
  readonly #index: number
  readonly #options: ThreadsOptions
  readonly #waiting = new Map<number, Waiting>()
  #thread: Worker
  #startedAt = 0
  #nextId = 0
  #deaths = 0
  #alive = true
  #closing = false
  #cancelReplacement: Cancel = () => {}

  constructor(index: number, options: ThreadsOptions) {
    this.#index = index
    this.#options = options
    this.#thread = this.#start()
  }

  call(call: Extract<ToThread, { id: number }>['call'], signal: AbortSignal | undefined): Promise<unknown> {
    if (!this.#alive) return Promise.reject(new ThreadDied('the thread of this shard is being replaced'))
    const id = this.#nextId++
    const cancel = () => this.#post({ cancel: id })
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, call })
      if (signal?.aborted) cancel()
      else signal?.addEventListener('abort', cancel, { once: true })
    }).finally(() => signal?.removeEventListener('abort', cancel))
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#cancelReplacement()
    await this.#thread.terminate()
  }

  #start(): Worker {
    const { settings, clock, logger } = this.#options
    const workerData: ThreadData = { settings, index: this.#index }
    const name = `shards-${this.#index}`
    const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData, name, resourceLimits: LIMITS })
    this.#startedAt = clock.now()
    thread.on('message', (message: FromThread) => this.#heard(message))
    thread.on('error', (error) => logger.error({ err: error, thread: this.#index }, 'a thread failed'))
    thread.on('exit', () => this.#exited())
    return thread
  }

  #post(message: ToThread): void {
    this.#thread.postMessage(message)
  }

  #heard(message: FromThread): void {
    if ('report' in message) {
      this.#options.onReport(this.#index, message.report)
      return
    }
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('error' in message) waiting?.reject(new Error(message.error))
    else waiting?.resolve(message.answer)
  }

  #exited(): void {
    const { clock, random, onDied, onReplaced } = this.#options
    this.#alive = false
    for (const { reject } of this.#waiting.values()) reject(new ThreadDied('the thread of this shard ended'))
    this.#waiting.clear()
    if (this.#closing) return
    this.#deaths = clock.now() - this.#startedAt >= HEALTHY_MS ? 1 : this.#deaths + 1
    onDied(this.#index)
    this.#cancelReplacement = clock.after(backoffDelay(this.#deaths, { ...REPLACE, random }), () => {
      this.#thread = this.#start()
      this.#alive = true
      onReplaced(this.#index)
    })
  }
}

/** Starts the threads; one that dies is replaced alone. */
export function startThreads(options: ThreadsOptions): ThreadPool {
  const slots = Array.from({ length: options.settings.threads }, (_, index) => new ThreadSlot(index, options))
  return {
    count: slots.length,
    async call(index, type, ask, signal) {
      const slot = slots[index]
      if (!slot) throw new RangeError(`there is no thread ${index}`)
      return (await slot.call({ type, ...ask } as Parameters<ThreadSlot['call']>[0], signal)) as never
    },
    async close() {
      await Promise.all(slots.map((slot) => slot.close()))
    },
  }
}
