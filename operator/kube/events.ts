import { randomBytes } from 'node:crypto'
import { Registry } from 'prom-client'
import { backoffDelay } from '../../src/support/backoff.ts'
import { type Clock, sleep } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { foreignText } from '../../src/support/text.ts'
import type { Transport } from './call.ts'
import { ApiError, NotFoundError } from './errors.ts'
import { EVENT_LIMITS, EventAggregator, type EventDecision, type EventLimits } from './event-aggregator.ts'
import { microTime } from './lease.ts'
import { remember } from './lru.ts'
import { createKubeMetrics, type KubeMetrics } from './metrics.ts'
import type { StoredObject } from './objects.ts'
import { apiVersionOf, events, pathOf, type Resource } from './resources.ts'

/** Events that wait for a slow API server; beyond it new ones are dropped. */
const BUFFERED = 1_000
const MAX_TRIES = 4
const TIMEOUT_MS = 10_000
/** Bytes; the API server refuses longer notes. */
const NOTE_LIMIT = 1_024
const ELLIPSIS = '…'
const NAME_LIMIT = 253

export interface RecordedEvent {
  /** The object the event is about, as read from the API server. */
  readonly regarding: StoredObject
  readonly resource: Resource
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, a constant: why. */
  readonly reason: string
  /** CamelCase, a constant: what was done or tried. */
  readonly action: string
  /** A sentence for people; it must not contain a token or key. */
  readonly note: string
}

export interface EventRecorderOptions {
  readonly transport: Transport
  /** Such as `shardcluster.dev/operator`. */
  readonly controller: string
  /** The pod's name. */
  readonly instance: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logger: Logger
  readonly metrics?: KubeMetrics
  readonly limits?: EventLimits
}

type WrittenDecision = Exclude<EventDecision, { kind: 'suppress' }>

interface Written {
  readonly namespace: string
  readonly name: string
}

/**
 * Writes events.k8s.io/v1 events in the background, best effort: `record` never waits and never throws, because an
 * event that cannot be written must not fail a reconcile. Equal events become one event with a series.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #metrics: KubeMetrics
  readonly #aggregator: EventAggregator
  readonly #written = new Map<string, Written>()
  readonly #stopped = new AbortController()
  #closing = false
  #pending = 0
  #tail: Promise<void> = Promise.resolve()

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#metrics = options.metrics ?? createKubeMetrics(new Registry())
    this.#aggregator = new EventAggregator(options.limits)
  }

  record(recorded: RecordedEvent): void {
    if (this.#closing) return
    // Before it is compared and remembered: thousands of notes are.
    const event = { ...recorded, note: truncated(recorded.note) }
    const identity = { ...event, regardingUid: event.regarding.metadata.uid }
    const decision = this.#aggregator.observe(identity, this.#options.clock.now())
    if (decision.kind === 'suppress') {
      this.#metrics.eventsDropped.inc({ reason: 'rate_limit' })
      return
    }
    if (this.#pending >= BUFFERED) {
      this.#metrics.eventsDropped.inc({ reason: 'buffer_full' })
      return
    }
    this.#pending += 1
    this.#tail = this.#write(decision, event, this.#options.clock.date())
  }

  /** Resolves when every event recorded so far is written or given up. */
  flush(): Promise<void> {
    return this.#tail
  }

  /** Takes no more events and gives those on their way `milliseconds` more. */
  async close(milliseconds = 5_000): Promise<void> {
    this.#closing = true
    const late = this.#options.clock.after(milliseconds, () => this.#stopped.abort())
    await this.#tail
    late()
    this.#stopped.abort()
  }

  /** One after the other: a series update must not overtake the creation it counts on. */
  async #write(decision: WrittenDecision, event: RecordedEvent, at: Date): Promise<void> {
    await this.#tail
    try {
      if (decision.kind === 'create') await this.#create(decision.key, event, at)
      else await this.#count(decision.key, decision.count, event, at)
    } catch (error) {
      this.#dropped(error)
    } finally {
      this.#pending -= 1
    }
  }

  async #create(key: string, event: RecordedEvent, at: Date): Promise<void> {
    const { controller, instance, transport } = this.#options
    const written = nameFor(event.regarding, at)
    const body = {
      ...eventBody(written, event, at),
      reportingController: controller,
      reportingInstance: instance,
    }
    const path = pathOf(events, { namespace: written.namespace })
    await this.#retried((signal) => transport.request({ method: 'POST', path, body, signal, timeoutMs: TIMEOUT_MS }))
    remember(this.#written, key, written, EVENT_LIMITS.remembered)
  }

  async #count(key: string, count: number, event: RecordedEvent, at: Date): Promise<void> {
    const written = this.#written.get(key)
    if (!written) return this.#create(key, event, at)
    try {
      await this.#retried((signal) =>
        this.#options.transport.request({
          method: 'PATCH',
          path: pathOf(events, written),
          body: { series: { count, lastObservedTime: microTime(at) } },
          contentType: 'application/merge-patch+json',
          signal,
          timeoutMs: TIMEOUT_MS,
        }),
      )
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error
      this.#written.delete(key)
      await this.#create(key, event, at)
    }
  }

  /** Only what may pass by itself is tried again: an event the server refuses stays refused. */
  async #retried(write: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const { clock, random } = this.#options
    const { signal } = this.#stopped
    for (let failures = 1; ; failures += 1) {
      try {
        await write(signal)
        return
      } catch (error) {
        if (!mayPass(error) || failures === MAX_TRIES) throw error
        await sleep(clock, backoffDelay(failures, { baseMs: 1_000, capMs: 30_000, random }), signal)
      }
    }
  }

  #dropped(error: unknown): void {
    this.#metrics.eventsDropped.inc({ reason: 'failed' })
    this.#options.logger.debug({ err: error }, 'an event could not be written')
  }
}

/** Cluster-scoped objects have their events in `default`, where kubectl describe looks for them. */
function nameFor({ metadata }: StoredObject, at: Date): Written {
  const suffix = `.${at.getTime().toString(16)}${randomBytes(3).toString('hex')}`
  return {
    namespace: metadata.namespace ?? 'default',
    name: `${metadata.name.slice(0, NAME_LIMIT - suffix.length)}${suffix}`,
  }
}

function eventBody(name: Written, { regarding, resource, type, reason, action, note }: RecordedEvent, at: Date) {
  const { metadata } = regarding
  return {
    apiVersion: apiVersionOf(events),
    kind: events.kind,
    metadata: name,
    eventTime: microTime(at),
    type,
    reason,
    action,
    note,
    regarding: {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
    },
  }
}

/** Cut by bytes, as the API server counts, and never through a character. */
function truncated(note: string): string {
  const bytes = Buffer.from(foreignText(note, NOTE_LIMIT))
  if (bytes.length <= NOTE_LIMIT) return bytes.toString()
  const kept = bytes.subarray(0, NOTE_LIMIT - Buffer.byteLength(ELLIPSIS))
  return new TextDecoder().decode(kept, { stream: true }) + ELLIPSIS
}

function mayPass(error: unknown): boolean {
  return error instanceof ApiError && ['Throttled', 'Unavailable', 'Timeout'].includes(error.kind)
}
