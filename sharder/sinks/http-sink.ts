import type { Pool as UndiciPool } from 'undici'
import type { SinkRecord } from '../../src/protocol/state.ts'
import { backoffDelay } from '../../src/support/backoff.ts'
import { type Clock, sleep } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { type PostResult, post } from './http-post.ts'
import { Lane } from './lane.ts'
import type { SecretFile } from './secret-file.ts'
import type { Feed, Sink, SinkChanged } from './sink.ts'
import type { FeedMark, Slab } from './slab.ts'
import { SlabPool } from './slab-pool.ts'
import { Pool } from './undici-pool.ts'

export interface HttpSinkOptions {
  readonly name: string
  readonly url: string
  readonly workerId: number
  /** Holds what is sent as the authorization header. */
  readonly authorization: SecretFile | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly onChange: SinkChanged
  /** One batch was answered, or not, after so many milliseconds. */
  readonly onPost: (result: PostResult['kind'], milliseconds: number) => void
  /** Memory for events that wait, in bytes: beyond it the sink is full. */
  readonly mostBytes?: number
  readonly requestTimeoutMs?: number
  /** First and longest wait before a batch is sent again, in milliseconds. */
  readonly retry?: { readonly baseMs: number; readonly capMs: number }
}

/** Shards are spread over so many lanes: a batch in flight holds up its own lane only. */
const LANES = 4
const MOST_BYTES = 32 * 1024 * 1024
const REQUEST_TIMEOUT_MS = 30_000
const RETRY = { baseMs: 200, capMs: 10_000 }

/**
 * Posts events to the bot in batches of newline-delimited JSON: `{"workerId":0,"shardId":7,"payload":<as Discord sent it>}`.
 * Any 2xx confirms a batch; anything else is tried again for ever, so that nothing is lost but time.
 */
export class HttpSink implements Sink {
  readonly #options: HttpSinkOptions
  readonly #pool: UndiciPool
  readonly #path: string
  readonly #lanes: readonly Lane[]
  readonly #slabs: SlabPool
  readonly #closed = new AbortController()
  readonly #mostBytes: number
  readonly #timeoutMs: number
  #bytes = 0
  #events = 0
  #full = false
  #trouble: { readonly state: 'Failing' | 'Unauthorized'; readonly message: string } | undefined

  constructor(options: HttpSinkOptions) {
    this.#options = options
    this.#mostBytes = options.mostBytes ?? MOST_BYTES
    this.#timeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
    const { origin, pathname, search } = new URL(options.url)
    this.#path = pathname + search
    this.#pool = new Pool(origin, { connections: LANES, pipelining: 1, connect: { timeout: 5_000 } })
    this.#slabs = new SlabPool(options.clock)
    const lane = () =>
      new Lane({
        clock: options.clock,
        slabs: this.#slabs,
        deliver: (slab) => this.#deliver(slab),
        onHeld: (bytes, events) => this.#held(bytes, events),
      })
    this.#lanes = Array.from({ length: LANES }, lane)
  }

  open(shardId: number, acknowledged: number): Feed {
    const lane = this.#lanes[laneOf(shardId)] as Lane
    const prefix = Buffer.from(`{"workerId":${this.#options.workerId},"shardId":${shardId},"payload":`)
    const mark: FeedMark = { acknowledged }
    return {
      add: (bytes, from, to, sequence) => lane.add(mark, prefix, bytes, from, to, sequence),
      get acknowledged() {
        return mark.acknowledged
      },
    }
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
    for (const lane of this.#lanes) lane.close()
    this.#slabs.close()
    await this.#pool.destroy()
  }

  async #deliver(slab: Slab): Promise<void> {
    await this.#deliverBody(slab, slab.body)
  }

  async #deliverBody(slab: Slab, body: Buffer): Promise<void> {
    for (let failures = 1; ; failures++) {
      const result = await this.#post(body)
      if (this.#closed.signal.aborted) throw new Error('the sink is closed')
      if (result.kind === 'acknowledged') return this.#setTrouble(undefined)
      slab.tainted = true
      const half = result.kind === 'too-large' ? middleOf(body) : undefined
      if (half !== undefined) {
        await this.#deliverBody(slab, body.subarray(0, half))
        return this.#deliverBody(slab, body.subarray(half))
      }
      this.#setTrouble({ state: result.kind === 'unauthorized' ? 'Unauthorized' : 'Failing', message: result.message })
      const { random, retry = RETRY } = this.#options
      const backoff = backoffDelay(failures, { ...retry, random })
      const asked = result.kind === 'failed' ? (result.retryAfterMs ?? 0) : 0
      await sleep(this.#options.clock, Math.max(asked, backoff), this.#closed.signal)
    }
  }

  async #post(body: Buffer): Promise<PostResult> {
    const { authorization, clock, onPost } = this.#options
    const startedAt = clock.now()
    let key: string | undefined
    try {
      key = await authorization?.text()
    } catch (error) {
      return { kind: 'unauthorized', message: (error as Error).message }
    }
    const result = await post(body, {
      pool: this.#pool,
      path: this.#path,
      authorization: key,
      timeoutMs: this.#timeoutMs,
    })
    if (result.kind === 'unauthorized') authorization?.refused()
    onPost(result.kind, clock.now() - startedAt)
    return result
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

/** A thread holds every second, or every fourth shard: the remainder alone would put them all into one lane. */
const laneOf = (shardId: number): number => (Math.imul(shardId, 0x9e3779b1) >>> 16) % LANES

/** Where the second half of the lines begins; undefined for a single line. */
function middleOf(body: Buffer): number | undefined {
  const after = body.indexOf(10, body.length >> 1) + 1
  if (after > 0 && after < body.length) return after
  const before = body.lastIndexOf(10, Math.max(0, (body.length >> 1) - 1)) + 1
  return before > 0 ? before : undefined
}
