import { Registry } from 'prom-client'
import type { Cancel, Clock } from '../../src/support/clock.ts'
import { createKubeMetrics, type KubeMetrics } from './metrics.ts'
import { RateLimiter, type RateLimiterOptions } from './rate-limiter.ts'

export interface WorkQueueOptions {
  readonly name: string
  readonly clock: Clock
  readonly metrics?: KubeMetrics
  readonly rateLimiter?: RateLimiterOptions
}

interface Scheduled {
  readonly at: number
  readonly cancel: Cancel
}

/**
 * client-go's rate-limited work queue, keyed by object.
 * Holds: a key waits at most once however often it is added (coalescing); a key is with at most one worker at a time;
 * a key added while a worker has it comes back when that worker is done, so the last change is always looked at;
 * keys come out in the order they became ready.
 */
export class WorkQueue {
  readonly #clock: Clock
  readonly #metrics: KubeMetrics
  readonly #labels: { readonly name: string }
  readonly #limiter: RateLimiter
  /** Keys that need work. A key may be dirty and in work at once, but then it is not in `#ready`. */
  readonly #dirty = new Set<string>()
  /** Keys that workers have now, and since when. */
  readonly #processing = new Map<string, number>()
  /** Keys to hand out, oldest first, and since when they wait. */
  readonly #ready = new Map<string, number>()
  readonly #scheduled = new Map<string, Scheduled>()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #shuttingDown = false

  constructor({ name, clock, metrics, rateLimiter }: WorkQueueOptions) {
    this.#clock = clock
    this.#labels = { name }
    this.#metrics = metrics ?? createKubeMetrics(new Registry())
    this.#limiter = new RateLimiter(clock, rateLimiter)
    this.#metrics.queueDepth.set(this.#labels, 0)
    this.#metrics.collectors.add(this.#observe)
  }

  /** Keys that wait for a worker. */
  get length(): number {
    return this.#ready.size
  }

  /** The key needs work now. */
  add(key: string): void {
    if (this.#shuttingDown || this.#dirty.has(key)) return
    this.#metrics.queueAdds.inc(this.#labels)
    this.#dirty.add(key)
    if (!this.#processing.has(key)) this.#makeReady(key)
  }

  /** The key needs work in `milliseconds`; of several such wishes the earliest stands. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#shuttingDown) return
    if (milliseconds <= 0) {
      this.add(key)
      return
    }
    const at = this.#clock.now() + milliseconds
    const planned = this.#scheduled.get(key)
    if (planned && planned.at <= at) return
    planned?.cancel()
    const cancel = this.#clock.after(milliseconds, () => {
      this.#scheduled.delete(key)
      this.add(key)
    })
    this.#scheduled.set(key, { at, cancel })
  }

  /** The key failed: again after its own exponential delay, or later if all retries together come too fast. */
  addRateLimited(key: string): void {
    this.#metrics.queueRetries.inc(this.#labels)
    this.addAfter(key, this.#limiter.delay(key))
  }

  /** The key succeeded: its next failure starts at the shortest delay. */
  forget(key: string): void {
    this.#limiter.forget(key)
  }

  /** Failures of the key in a row. */
  retriesOf(key: string): number {
    return this.#limiter.failuresOf(key)
  }

  /** Waits for the next key; `done(key)` must follow. undefined: the queue is shut down. */
  take(): Promise<string | undefined> {
    const [next] = this.#ready
    if (next) return Promise.resolve(this.#handOut(...next))
    if (this.#shuttingDown) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  /** The worker is through with the key. */
  done(key: string): void {
    const startedAt = this.#processing.get(key)
    if (startedAt === undefined) throw new Error(`work queue ${this.#labels.name}: done("${key}") without take()`)
    this.#processing.delete(key)
    this.#metrics.workDuration.observe(this.#labels, this.#secondsSince(startedAt))
    if (this.#dirty.has(key)) this.#makeReady(key)
  }

  /**
   * Ends every worker that waits and drops every key: reconciles are level-triggered, so whoever runs next finds the
   * same work in its first list. Keys in work may still be `done`.
   */
  shutDown(): void {
    this.#shuttingDown = true
    for (const { cancel } of this.#scheduled.values()) cancel()
    this.#scheduled.clear()
    this.#dirty.clear()
    this.#ready.clear()
    this.#metrics.queueDepth.set(this.#labels, 0)
    this.#metrics.collectors.delete(this.#observe)
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }

  /** Brings the gauges that grow with time up to date. */
  readonly #observe = (): void => {
    const ages = [...this.#processing.values()].map((startedAt) => this.#secondsSince(startedAt))
    this.#metrics.unfinishedWork.set(
      this.#labels,
      ages.reduce((sum, age) => sum + age, 0),
    )
    this.#metrics.longestRunning.set(this.#labels, Math.max(0, ...ages))
  }

  #makeReady(key: string): void {
    const taker = this.#takers.shift()
    if (taker) {
      taker(this.#handOut(key, this.#clock.now()))
      return
    }
    this.#ready.set(key, this.#clock.now())
    this.#metrics.queueDepth.set(this.#labels, this.#ready.size)
  }

  #handOut(key: string, readySince: number): string {
    this.#ready.delete(key)
    this.#dirty.delete(key)
    this.#processing.set(key, this.#clock.now())
    this.#metrics.queueDuration.observe(this.#labels, this.#secondsSince(readySince))
    this.#metrics.queueDepth.set(this.#labels, this.#ready.size)
    return key
  }

  #secondsSince(instant: number): number {
    return (this.#clock.now() - instant) / 1_000
  }
}
