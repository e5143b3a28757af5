import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher, Pool } from 'undici'
import type { PublishResult } from './publisher.ts'

/** What became of one request. */
export type PostResult = PublishResult | { readonly kind: 'too-large'; readonly message: string }

export interface PostOptions {
  readonly pool: Pool
  readonly path: string
  readonly contentType: string
  readonly authorization: string | undefined
  readonly timeoutMs: number
}

/** Longest wait that a Retry-After may ask for, in milliseconds. */
const LONGEST_RETRY_AFTER_MS = 60_000

/** Of an answer's body so much is read, and thrown away, so that the connection can be used again; in bytes. */
const MOST_BODY_BYTES = 128 * 1024

/** Sends one request. Every outcome is a value. */
export function post(body: Buffer, options: PostOptions): Promise<PostResult> {
  const { pool, path, contentType, authorization, timeoutMs } = options
  const headers = { 'content-type': contentType, ...(authorization !== undefined && { authorization }) }
  return new Promise((resolve) => {
    const handler = new PostHandler(timeoutMs, resolve)
    try {
      // The deadline is the handler's, for all of it.
      pool.dispatch({ method: 'POST', path, body, headers, headersTimeout: 0, bodyTimeout: 0 }, handler)
    } catch (error) {
      handler.onResponseError(undefined, error as Error)
    }
  })
}

/**
 * Waits for the end of the answer, until the deadline. Not undici's request() with an AbortSignal.timeout(): the stream
 * and the signal of each request were 20 KB that outlived the young generation (V8 clears what a signal holds weakly in
 * a mark-sweep only), and the mark-sweep that followed each second held events up for 15 ms.
 */
class PostHandler implements Dispatcher.DispatchHandler {
  readonly #timeoutMs: number
  readonly #resolve: (result: PostResult) => void
  readonly #deadline: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #result: PostResult | undefined
  #late = false
  #bytes = 0

  constructor(timeoutMs: number, resolve: (result: PostResult) => void) {
    this.#timeoutMs = timeoutMs
    this.#resolve = resolve
    this.#deadline = setTimeout(() => this.#giveUp(), timeoutMs)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#late) controller.abort(new Error('too late'))
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 100 to 199 come before the answer.
    if (status >= 200) this.#result = resultOf(status, headers['retry-after'])
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes <= MOST_BODY_BYTES) return
    // What it said counts, however long it goes on about it.
    this.onResponseEnd()
    controller.abort(new Error('its answer is too long'))
  }

  onResponseEnd(): void {
    this.#end(this.#result ?? { kind: 'failed', message: 'it gave no answer' })
  }

  onResponseError(_: unknown, error: Error): void {
    this.#end(this.#failed(error))
  }

  #giveUp(): void {
    this.#late = true
    if (this.#controller) this.#controller.abort(new Error('too late'))
    else this.#end(this.#failed())
  }

  #failed(error?: NodeJS.ErrnoException): PostResult {
    if (this.#late) return { kind: 'failed', message: `it gave no answer within ${this.#timeoutMs / 1000} s` }
    return { kind: 'failed', message: `it could not be reached (${error?.code ?? error?.message ?? 'unknown error'})` }
  }

  /** The first end counts. */
  #end(result: PostResult): void {
    clearTimeout(this.#deadline)
    this.#resolve(result)
  }
}

function resultOf(status: number, retryAfter: string | string[] | undefined): PostResult {
  if (status >= 200 && status < 300) return { kind: 'acknowledged' }
  const message = `it answered ${status}`
  if (status === 401 || status === 403)
    return { kind: 'unauthorized', message: `${message}: check its authorization key` }
  if (status === 413) return { kind: 'too-large', message: `${message}: raise its body limit above the largest event` }
  const retryAfterMs = typeof retryAfter === 'string' ? retryAfterOf(retryAfter) : undefined
  return { kind: 'failed', message, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** Seconds, or an HTTP date. */
function retryAfterOf(text: string): number | undefined {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, ms))
}
