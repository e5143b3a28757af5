import type { KubeConfig } from '@kubernetes/client-node'
import { Registry } from 'prom-client'
import type { Dispatcher } from 'undici'
import { background } from '../../src/support/background.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { asApiError, attempted, DEFAULT_TIMEOUT_MS, isTimeout } from './attempts.ts'
import { type ApiCall, type ApiStream, nameOf, onAbort, type Transport, targetOf } from './call.ts'
import { ConnectionPool } from './connection.ts'
import { ApiError } from './errors.ts'
import { createKubeMetrics, type KubeMetrics } from './metrics.ts'
import { Semaphore } from './semaphore.ts'
import { errorFromResponse } from './status.ts'

/**
 * Headers must come within this share of a call's time. undici then asks an HTTP/2 peer for a PING and drops the
 * connection if it stays silent; a plain abort at the deadline would leave every watch on the dead connection.
 */
const HEADERS_SHARE = 0.9

/**
 * Asked over the connection of the watches when a call with a body, which has another one, got no answer in time: if
 * this gets none either, undici asks for a PING. Everybody may read it, and no store is behind it.
 */
const PROBE: ApiCall = { method: 'GET', path: '/version', timeoutMs: 1_000 }

export interface TransportOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics?: KubeMetrics
  /** Most calls in flight at once, watches not counted. Default: no limit; the server's own fairness (429) holds. */
  readonly maxConcurrency?: number
  /** Until a connection stands, TLS included, milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** Wraps the dispatcher of each call, as undici's interceptors do; for tests that inject HTTP faults. */
  readonly intercept?: (dispatcher: Dispatcher) => Dispatcher
}

interface Answer {
  readonly response: Dispatcher.ResponseData
  /** The shared one it came over. */
  readonly dispatcher: Dispatcher
}

/** HTTP to one API server: shared connections, credentials, time-outs, Retry-After, metrics. Raw JSON in and out. */
export class KubeTransport implements Transport {
  readonly #server: URL
  readonly #pool: ConnectionPool
  readonly #options: TransportOptions
  readonly #metrics: KubeMetrics
  readonly #slots: Semaphore | undefined
  readonly #streams = new Set<ApiStream>()
  #probing = false

  /** Throws when the kubeconfig has no current cluster. */
  static fromConfig(kubeConfig: KubeConfig, options: TransportOptions): KubeTransport {
    const cluster = kubeConfig.getCurrentCluster()
    if (!cluster) {
      throw new Error(`the kubeconfig's current context "${kubeConfig.getCurrentContext()}" names no cluster; set one`)
    }
    return new KubeTransport(new URL(cluster.server), new ConnectionPool(kubeConfig, options.connectTimeoutMs), options)
  }

  private constructor(server: URL, pool: ConnectionPool, options: TransportOptions) {
    this.#server = server
    this.#pool = pool
    this.#options = options
    this.#metrics = options.metrics ?? createKubeMetrics(new Registry())
    this.#slots = options.maxConcurrency === undefined ? undefined : new Semaphore(options.maxConcurrency)
  }

  /** Watches that are open now. */
  get openStreams(): number {
    return this.#streams.size
  }

  async request<T>(call: ApiCall): Promise<T> {
    const release = await this.#slots?.acquire(call.signal)
    try {
      return await attempted(this.#options.clock, call, async (signal) => {
        const { response } = await this.#send(call, signal)
        return (await response.body.json()) as T
      })
    } finally {
      release?.()
    }
  }

  async stream(call: ApiCall): Promise<ApiStream> {
    const lifetime = new AbortController()
    // The signal of the attempt covers the opening; afterwards only the lifetime and the caller's signal count.
    const { response, dispatcher } = await attempted(this.#options.clock, call, (signal) =>
      this.#send(call, AbortSignal.any([signal, lifetime.signal]), 0),
    )
    const close = () => lifetime.abort()
    const abandon = () => {
      this.#pool.retire(dispatcher)
      close()
    }
    const unlink = onAbort(call.signal, close)
    const leave = () => {
      unlink()
      this.#streams.delete(stream)
    }
    const body = readUntilClosed(call, response.body, lifetime.signal, leave)
    const stream: ApiStream = { body, close, abandon }
    onAbort(lifetime.signal, leave)
    if (!lifetime.signal.aborted) this.#streams.add(stream)
    return stream
  }

  /** Ends every call and watch; the transport cannot be used afterwards. */
  async close(): Promise<void> {
    for (const stream of [...this.#streams]) stream.close()
    await this.#pool.close()
  }

  async #send(call: ApiCall, signal: AbortSignal, bodyTimeout?: number): Promise<Answer> {
    const { clock, intercept, logger } = this.#options
    const startedAt = clock.now()
    const { dispatcher, headers } = await this.#pool.acquire(call.body === undefined ? 'h2' : 'h1')
    call.guard?.()
    const headersTimeout = Math.ceil((call.timeoutMs ?? DEFAULT_TIMEOUT_MS) * HEADERS_SHARE)
    try {
      const response = await (intercept?.(dispatcher) ?? dispatcher).request({
        origin: this.#server.origin,
        path: targetOf(call, this.#server.pathname),
        method: call.method,
        headers: { ...headers, ...bodyHeaders(call), accept: 'application/json', 'user-agent': 'shardcluster' },
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal,
        headersTimeout,
        bodyTimeout: bodyTimeout ?? headersTimeout,
      })
      this.#count(call, String(response.statusCode), startedAt)
      await throwUnlessSuccessful(call, response)
      return { response, dispatcher }
    } catch (error) {
      if (!(error instanceof ApiError)) this.#count(call, '<error>', startedAt)
      // The peer may be gone without a word: the next call gets a fresh connection instead of the same silence.
      if (isTimeout(error) || isTimeout(signal.reason)) {
        logger.debug({ call: nameOf(call) }, 'no answer in time: the next call opens a new connection')
        this.#pool.retire(dispatcher)
        if (call.body !== undefined) background(this.#probe(), logger, 'probe of the API server')
      }
      throw error
    }
  }

  /** Never rejects. */
  async #probe(): Promise<void> {
    if (this.#probing || this.#streams.size === 0) return
    this.#probing = true
    try {
      const { response } = await this.#send(PROBE, new AbortController().signal)
      await response.body.dump()
    } catch (err) {
      this.#options.logger.debug({ err }, 'the connection of the watches does not answer either')
    } finally {
      this.#probing = false
    }
  }

  #count({ method }: ApiCall, code: string, startedAt: number): void {
    const { host } = this.#server
    this.#metrics.requests.inc({ code, method, host })
    this.#metrics.requestDuration.observe({ verb: method, host }, (this.#options.clock.now() - startedAt) / 1_000)
  }
}

async function throwUnlessSuccessful(call: ApiCall, response: Dispatcher.ResponseData): Promise<void> {
  if (response.statusCode < 300) return
  const retryAfter = response.headers['retry-after']
  const seconds = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter
  throw errorFromResponse(nameOf(call), response.statusCode, await response.body.text(), seconds)
}

function bodyHeaders({ body, contentType }: ApiCall): Record<string, string> {
  return body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }
}

async function* readUntilClosed(
  call: ApiCall,
  body: AsyncIterable<Uint8Array>,
  closed: AbortSignal,
  leave: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    if (!closed.aborted) throw asApiError(call, error)
  } finally {
    leave()
  }
  call.signal?.throwIfAborted()
}
