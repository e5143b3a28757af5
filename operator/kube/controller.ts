import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { createKubeMetrics, type KubeMetrics, RECONCILE_RESULTS } from './metrics.ts'
import { type ObjectKey, splitKey } from './objects.ts'
import type { WorkQueue } from './workqueue.ts'

/** How a reconcile ended when it did not throw. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'requeueAfter'; readonly milliseconds: number; readonly reason: string }

/** Nothing to do until something changes. */
export const done: Outcome = { kind: 'done' }

/** Look again in `milliseconds` even if nothing changes; `reason` is logged and says what is waited for. */
export function requeueAfter(milliseconds: number, reason: string): Outcome {
  return { kind: 'requeueAfter', milliseconds, reason }
}

/** Thrown by a reconcile when trying again cannot help until the object changes. Counted, not retried. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError'
}

/** Brings the world nearer to what the object of this key asks for. `signal`: the process stops, or the time is up. */
export type Reconcile = (key: ObjectKey, signal: AbortSignal, logger: Logger) => Promise<Outcome>

export interface ControllerOptions {
  /** As in the metrics' `controller` label; also the queue's name by convention. */
  readonly name: string
  readonly queue: WorkQueue
  readonly reconcile: Reconcile
  /** Keys reconciled at once. */
  readonly workers: number
  /** A reconcile's signal aborts after this time, milliseconds. Default: none. */
  readonly timeoutMs?: number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics?: KubeMetrics
}

type Result = (typeof RECONCILE_RESULTS)[number]

/** Takes keys from a queue and reconciles them with a fixed number of workers; errors come back with back-off. */
export class Controller {
  readonly #options: ControllerOptions
  readonly #metrics: KubeMetrics
  readonly #labels: { readonly controller: string }

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#metrics = options.metrics ?? createKubeMetrics(new Registry())
    this.#labels = { controller: options.name }
    // Series exist from the start, so that a rate over the first error is not lost.
    for (const result of RECONCILE_RESULTS) this.#metrics.reconcileTotal.inc({ ...this.#labels, result }, 0)
    const { reconcileErrors, terminalErrors, reconcilePanics, reconcileTimeouts } = this.#metrics
    for (const counter of [reconcileErrors, terminalErrors, reconcilePanics, reconcileTimeouts]) {
      counter.inc(this.#labels, 0)
    }
    this.#metrics.activeWorkers.set(this.#labels, 0)
    this.#metrics.maxConcurrentReconciles.set(this.#labels, options.workers)
  }

  /** Works until the signal aborts; resolves when every reconcile in progress has ended. The queue is shut down. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#options.queue.shutDown()
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    await Promise.all(Array.from({ length: this.#options.workers }, () => this.#work(signal)))
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { queue } = this.#options
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      this.#metrics.activeWorkers.inc(this.#labels)
      // done() comes last and always: a key that stays with a dead worker would never be looked at again.
      try {
        await this.#reconcile(key, signal)
      } finally {
        this.#metrics.activeWorkers.dec(this.#labels)
        queue.done(key)
      }
    }
  }

  async #reconcile(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const { name, clock, queue, reconcile, timeoutMs } = this.#options
    const { namespace, name: object } = splitKey(key)
    const logger = this.#options.logger.child({ controller: name, namespace, name: object, reconcileID: randomUUID() })
    const limit = new AbortController()
    const onStop = () => limit.abort(signal.reason)
    signal.addEventListener('abort', onStop, { once: true })
    const cancel = timeoutMs === undefined ? () => {} : clock.after(timeoutMs, () => this.#timedOut(limit, timeoutMs))
    const startedAt = clock.now()
    let result: Result
    try {
      result = this.#settle(key, await reconcile(key, limit.signal, logger), logger)
    } catch (error) {
      result = signal.aborted ? 'requeue' : this.#failed(key, error, logger)
    } finally {
      cancel()
      signal.removeEventListener('abort', onStop)
    }
    this.#metrics.reconcileTime.observe(this.#labels, (clock.now() - startedAt) / 1_000)
    this.#metrics.reconcileTotal.inc({ ...this.#labels, result })
    logger.trace({ result, pending: queue.length }, 'reconciled')
  }

  #settle(key: ObjectKey, outcome: Outcome, logger: Logger): Result {
    const { queue } = this.#options
    queue.forget(key)
    if (outcome.kind === 'done') return 'success'
    logger.debug({ milliseconds: outcome.milliseconds, reason: outcome.reason }, 'looking again later')
    queue.addAfter(key, outcome.milliseconds)
    return 'requeue_after'
  }

  #failed(key: ObjectKey, error: unknown, logger: Logger): Result {
    const { queue } = this.#options
    this.#metrics.reconcileErrors.inc(this.#labels)
    if (error instanceof TerminalError) {
      this.#metrics.terminalErrors.inc(this.#labels)
      queue.forget(key)
      logger.error({ err: error }, 'reconcile failed for good: waiting for the object to change')
      return 'error'
    }
    if (isBug(error)) this.#metrics.reconcilePanics.inc(this.#labels)
    queue.addRateLimited(key)
    logger.error({ err: error, failures: queue.retriesOf(key) }, 'reconcile failed')
    return 'error'
  }

  #timedOut(limit: AbortController, timeoutMs: number): void {
    this.#metrics.reconcileTimeouts.inc(this.#labels)
    limit.abort(new Error(`the reconcile took longer than ${timeoutMs} ms`))
  }
}

/** JavaScript's panics: errors that only a mistake in the program raises. */
function isBug(error: unknown): boolean {
  if (!(error instanceof Error)) return true
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
}
