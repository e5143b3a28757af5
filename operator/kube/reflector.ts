import { Registry } from 'prom-client'
import { type Clock, sleep } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { listAll, type Selection } from './apply.ts'
import { REFLECTOR_BACKOFF, ResettingBackoff, type ResettingBackoffOptions } from './backoff.ts'
import type { Transport } from './call.ts'
import { ApiError, ExpiredError, ForbiddenError, InvalidError, UnavailableError } from './errors.ts'
import { createKubeMetrics, type KubeMetrics } from './metrics.ts'
import type { ObjectList, StoredObject } from './objects.ts'
import { pathOf, type Resource } from './resources.ts'
import { type Change, type IndexOf, Store, type StoreReader } from './store.ts'
import { watch } from './watch.ts'

/** Seconds a watch is asked to last: spread, so that the watches of one process do not all end at once. */
const WATCH_SECONDS = { min: 300, max: 600 }
const WATCH_GRACE_MS = 5_000
/** A server that ends watches sooner than this without one event is refusing us politely (client-go: "very short watch"). */
const SHORTEST_WATCH_MS = 1_000
/** Watch failures in a row, answered by the server, after which the resourceVersion itself is suspected. */
const FAILURES_BEFORE_RELIST = 5

export type ChangeHandler<T> = (change: Change<T>) => void

/** How long things may take; each has a default that suits production. */
export interface ReflectorTiming {
  readonly backoff?: ResettingBackoffOptions
  /** How long watches are asked to last, chosen at random in between. Default 300 to 600. */
  readonly watchSeconds?: { readonly min: number; readonly max: number }
  /** A watch that outlives its time by this much is dead, milliseconds. Default 5,000. */
  readonly watchGraceMs?: number
  /** For a page of a list, and until a watch is open, milliseconds. Default: that of the transport. */
  readonly callTimeoutMs?: number
}

export interface ReflectorOptions extends Selection, ReflectorTiming {
  readonly transport: Transport
  readonly resource: Resource
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logger: Logger
  readonly metrics?: KubeMetrics
}

/**
 * Keeps a store equal to a collection of the API server, for ever:
 * 1. list everything, page by page, and replace the store (a diff by UID becomes the changes);
 * 2. watch from the list's resourceVersion, bookmarks included, until the server ends the watch; watch again from the
 *    last version seen;
 * 3. on any failure wait (back-off) and watch again from the same version; list again only if the server says the
 *    version is gone (410), refuses it, or keeps failing on it.
 * Holds: one watch at a time; an error never ends the loop, only the signal does; after `run` nothing is open; a
 * handler that throws is counted and neither ends the loop nor hides the event from the others.
 */
export class Reflector<T extends StoredObject> {
  readonly #options: ReflectorOptions
  readonly #store: Store<T>
  readonly #metrics: KubeMetrics
  readonly #backoff: ResettingBackoff
  readonly #handlers = new Set<ChangeHandler<T>>()
  readonly #synced = Promise.withResolvers<void>()
  readonly #answered = Promise.withResolvers<void>()
  #hasSynced = false
  #refused = false
  #running = false
  #version: string | undefined
  #failures = 0

  /** `indexOf`: what objects are found by in the store, see StoreReader.indexed. */
  constructor(options: ReflectorOptions, indexOf?: IndexOf<T>) {
    this.#options = options
    this.#store = new Store<T>(indexOf)
    this.#metrics = options.metrics ?? createKubeMetrics(new Registry())
    this.#backoff = new ResettingBackoff(options.backoff ?? REFLECTOR_BACKOFF, options.clock, options.random)
  }

  get store(): StoreReader<T> {
    return this.#store
  }

  /** Whether the first list is in the store. Stays true. */
  get hasSynced(): boolean {
    return this.#hasSynced
  }

  /** Resolves after the first list. Stays pending if the server never answers: readiness shows it, not a time-out. */
  whenSynced(): Promise<void> {
    return this.#synced.promise
  }

  /** The server refused the first list (403): there is no right to it, or none any more. It is tried again all the same. */
  get refused(): boolean {
    return this.#refused && !this.#hasSynced
  }

  /** Resolves after the first list, or when the server refused it. */
  whenAnswered(): Promise<void> {
    return this.#answered.promise
  }

  /**
   * Reports every change from now on, and what is in the store already as added. Handlers should only enqueue keys:
   * they run inside the watch loop. Returns the function that ends it.
   */
  subscribe(handler: ChangeHandler<T>): () => void {
    this.#handlers.add(handler)
    for (const object of this.#store.list()) this.#report({ type: 'added', object }, [handler])
    return () => this.#handlers.delete(handler)
  }

  /** Lists and watches until the signal aborts; resolves then, with every connection closed. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error(`the reflector of ${this.#options.resource.plural} runs already`)
    this.#running = true
    try {
      while (!signal.aborted) await this.#round(signal)
    } finally {
      this.#running = false
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    try {
      this.#version ??= await this.#list(signal)
      await this.#watch(this.#version, signal)
      this.#failures = 0
    } catch (error) {
      if (signal.aborted) return
      const delayMs = this.#backoff.next()
      this.#afterFailure(error, delayMs)
      await sleep(this.#options.clock, delayMs, signal)
    }
  }

  #afterFailure(error: unknown, delayMs: number): void {
    const { resource, logger } = this.#options
    if (error instanceof ForbiddenError) {
      this.#refused = true
      this.#answered.resolve()
    }
    // No answer at all (a restarting server) says nothing about the version; watching on from it costs the server least.
    if (error instanceof ApiError && error.code !== undefined) this.#failures += 1
    const relist =
      error instanceof ExpiredError || error instanceof InvalidError || this.#failures >= FAILURES_BEFORE_RELIST
    if (relist) {
      this.#version = undefined
      this.#failures = 0
    }
    this.#metrics.watchFailures.inc({ resource: resource.plural })
    const level = error instanceof ExpiredError ? 'debug' : 'warn'
    logger[level]({ resource: resource.plural, err: error, relist, delayMs }, 'watch failed, trying again')
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { resource } = this.#options
    this.#metrics.lists.inc({ resource: resource.plural })
    const { items, metadata } = await this.#listPages(signal)
    // All changes are in the store before the first handler hears of one.
    for (const change of this.#store.replace(items)) this.#report(change, this.#handlers)
    this.#seen()
    this.#hasSynced = true
    this.#synced.resolve()
    this.#answered.resolve()
    return metadata.resourceVersion
  }

  async #listPages(signal: AbortSignal): Promise<ObjectList<T>> {
    const { transport, resource, callTimeoutMs: timeoutMs } = this.#options
    const call = { signal, timeoutMs }
    try {
      return await listAll<T>(transport, resource, this.#options, call)
    } catch (error) {
      // The snapshot expired between two pages of a slow list: one big answer cannot.
      if (error instanceof ExpiredError) return listAll<T>(transport, resource, this.#options, { ...call, pageSize: 0 })
      throw error
    }
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { transport, resource, clock, random, namespace, labelSelector, fieldSelector } = this.#options
    const { watchSeconds = WATCH_SECONDS, watchGraceMs: graceMs = WATCH_GRACE_MS, callTimeoutMs } = this.#options
    const { min, max } = watchSeconds
    const timeoutSeconds = Math.round(min + random() * (max - min))
    const selection = { namespace, labelSelector, fieldSelector }
    const timing = { timeoutSeconds, graceMs, timeoutMs: callTimeoutMs, clock, signal }
    const startedAt = clock.now()
    let events = 0
    this.#metrics.watches.inc({ resource: resource.plural })
    for await (const event of watch<T>(transport, resource, { ...selection, ...timing, resourceVersion })) {
      events += 1
      if (event.type !== 'BOOKMARK') {
        const changes = event.type === 'DELETED' ? this.#store.remove(event.object) : this.#store.upsert(event.object)
        for (const change of changes) this.#report(change, this.#handlers)
      }
      this.#version = event.object.metadata.resourceVersion
      this.#failures = 0
      this.#seen()
    }
    if (events > 0 || clock.now() - startedAt >= SHORTEST_WATCH_MS) return
    throw new UnavailableError({ call: `GET ${pathOf(resource, selection)}`, message: 'the watch ended at once' })
  }

  #report(change: Change<T>, handlers: Iterable<ChangeHandler<T>>): void {
    for (const handler of handlers) {
      try {
        handler(change)
      } catch (error) {
        const resource = this.#options.resource.plural
        this.#metrics.handlerErrors.inc({ resource })
        this.#options.logger.error({ resource, change: change.type, err: error }, 'an event handler threw')
      }
    }
  }

  #seen(): void {
    const { resource, clock } = this.#options
    this.#metrics.lastEvent.set({ resource: resource.plural }, clock.date().getTime() / 1_000)
  }
}
