import { createHash } from 'node:crypto'
import type { SinkRecord } from '../../src/protocol/state.ts'
import { backoffDelay } from '../../src/support/backoff.ts'
import { type Cancel, type Clock, sleep } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { BufferedFeed, type Sorting } from './buffered-feed.ts'
import type { FeedMark } from './feed-mark.ts'
import { Lane } from './lane.ts'
import type { Publisher, PublishResult, Refusal } from './publisher.ts'
import type { Feed, Sink, SinkChanged } from './sink.ts'
import type { Slab } from './slab.ts'
import { SlabPool } from './slab-pool.ts'

/** What a sink of any kind is given. */
export interface SinkOptions {
  readonly name: string
  readonly workerId: number
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly onChange: SinkChanged
  readonly counts: SinkCounts
  /** Memory for events that wait, in bytes: beyond it the sink is full. */
  readonly mostBytes?: number | undefined
  /** How long a confirmation is waited for, in milliseconds. */
  readonly timeoutMs?: number | undefined
  /** First and longest wait before a batch is sent again, in milliseconds. */
  readonly retry?: { readonly baseMs: number; readonly capMs: number } | undefined
}

/** What a sink tells for the metrics. */
export interface SinkCounts {
  /** One attempt to hand a batch over was answered, or not, after so many milliseconds. */
  request(result: PublishResult['kind'], milliseconds: number): void
  /** So many events were confirmed; the oldest of them had waited so many milliseconds. */
  delivered(events: number, milliseconds: number): void
}

/** Shards are spread over so many lanes: a batch in flight holds up its own lane only. */
export const LANES = 4
/** Events wait this long for company before they are sent, in milliseconds. */
const GATHER_MS = 3
const MOST_BYTES = 32 * 1024 * 1024
const RETRY = { baseMs: 200, capMs: 10_000 }

/**
 * A sink of any kind: keeps events in memory of its own until its publisher has handed them over. What is refused is
 * tried again for ever, so that nothing is lost but time.
 */
export class BufferedSink implements Sink {
  readonly #options: SinkOptions
  readonly #publisher: Publisher
  readonly #sorting: Sorting
  readonly #lanes: readonly Lane[]
  readonly #slabs: SlabPool
  readonly #closed = new AbortController()
  readonly #mostBytes: number
  #bytes = 0
  #events = 0
  #full = false
  #cancelGather: Cancel | undefined
  #trouble: { readonly state: 'Failing' | 'Unauthorized'; readonly message: string } | undefined

  constructor(options: SinkOptions, publisher: Publisher, sorting: Sorting) {
    this.#options = options
    this.#publisher = publisher
    this.#sorting = sorting
    this.#mostBytes = options.mostBytes ?? MOST_BYTES
    this.#slabs = new SlabPool(options.clock, publisher.indexed)
    const lane = () =>
      new Lane({
        clock: options.clock,
        slabs: this.#slabs,
        deliver: (slab) => this.#deliver(slab),
        onStarted: () => this.#gather(),
        onHeld: (bytes, events) => this.#held(bytes, events),
      })
    this.#lanes = Array.from({ length: LANES }, lane)
  }

  open(shardId: number, acknowledged: number, sessionId: string): Feed {
    const lane = this.#lanes[laneOf(shardId)] as Lane
    const prefix = Buffer.from(`{"workerId":${this.#options.workerId},"shardId":${shardId},"payload":`)
    const mark: FeedMark = { acknowledged, shardId, prefix, session: nameOf(sessionId) }
    return new BufferedFeed(lane, mark, this.#sorting)
  }

  get full(): boolean {
    return this.#full
  }

  async flush(timeoutMs: number): Promise<boolean> {
    const timeout = new AbortController()
    const flushed = Promise.all(this.#lanes.map((lane) => lane.flushed())).then(() => true)
    const late = sleep(this.#options.clock, timeoutMs, timeout.signal).then(() => false)
    const result = await Promise.race([flushed, late])
    timeout.abort()
    return result
  }

  record(): SinkRecord {
    const { name } = this.#options
    return { name, state: 'Flowing', ...this.#trouble, pending: this.#events }
  }

  async close(): Promise<void> {
    this.#closed.abort()
    this.#cancelGather?.()
    this.#slabs.close()
    await this.#publisher.close()
  }

  /** The lanes send in the same moment, so that their publisher may put little batches together. */
  #gather(): void {
    this.#cancelGather ??= this.#options.clock.after(GATHER_MS, () => {
      this.#cancelGather = undefined
      for (const lane of this.#lanes) lane.due()
    })
  }

  async #deliver(slab: Slab): Promise<void> {
    const { clock, random, counts, retry = RETRY } = this.#options
    let before = 0
    for (let failures = 1; ; failures++) {
      const startedAt = clock.now()
      const result = await this.#publisher.publish(slab)
      if (this.#closed.signal.aborted) throw new Error('the sink is closed')
      counts.request(result.kind, clock.now() - startedAt)
      if (result.kind === 'acknowledged') {
        counts.delivered(slab.events, clock.now() - slab.startedAt)
        return this.#setTrouble(undefined)
      }
      slab.tainted = true
      this.#setTrouble(troubleOf(result))
      // A server that takes some of it each time is slow, not broken.
      const confirmed = slab.index?.confirmations ?? 0
      if (confirmed > before) failures = 1
      before = confirmed
      const asked = result.kind === 'failed' ? (result.retryAfterMs ?? 0) : 0
      await sleep(clock, Math.max(asked, backoffDelay(failures, { ...retry, random })), this.#closed.signal)
    }
  }

  #held(bytes: number, events: number): void {
    this.#bytes += bytes
    this.#events += events
    // Full until half of it has left: sockets are not paused and resumed for each batch.
    const full = this.#bytes >= (this.#full ? this.#mostBytes / 2 : this.#mostBytes)
    if (full === this.#full) return
    this.#full = full
    this.#options.onChange()
  }

  #setTrouble(trouble: { readonly state: 'Failing' | 'Unauthorized'; readonly message: string } | undefined): void {
    if (trouble?.state === this.#trouble?.state && trouble?.message === this.#trouble?.message) return
    const { name, logger, onChange } = this.#options
    this.#trouble = trouble
    if (trouble)
      logger.warn({ sink: name, why: trouble.message }, 'a sink does not take events, they are kept and tried again')
    else logger.info({ sink: name }, 'the sink takes events again')
    onChange()
  }
}

const troubleOf = ({ kind, message }: Refusal) =>
  ({ state: kind === 'unauthorized' ? 'Unauthorized' : 'Failing', message }) as const

/** A thread holds every second, or every fourth shard: the remainder alone would put them all into one lane. */
const laneOf = (shardId: number): number => (Math.imul(shardId, 0x9e3779b1) >>> 16) % LANES

/** A session's name in ids of messages. Not the session id: with the token, that is enough to take the session over. */
const nameOf = (sessionId: string): string => createHash('sha256').update(sessionId).digest('base64url').slice(0, 16)
