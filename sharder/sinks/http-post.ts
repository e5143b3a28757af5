import type { Pool } from 'undici'
import type { PublishResult } from './publisher.ts'
import { requestOver } from './undici-pool.ts'

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

/** Sends one request. Every outcome is a value. */
export async function post(body: Buffer, options: PostOptions): Promise<PostResult> {
  const { pool, path, contentType, authorization, timeoutMs } = options
  try {
    const response = await requestOver(pool, {
      method: 'POST',
      path,
      body,
      headers: { 'content-type': contentType, ...(authorization !== undefined && { authorization }) },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    })
    await response.body.dump()
    return resultOf(response.statusCode, response.headers['retry-after'])
  } catch (error) {
    return { kind: 'failed', message: messageOf(error, timeoutMs) }
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

function messageOf(error: unknown, timeoutMs: number): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string }
  if (name === 'TimeoutError' || name === 'HeadersTimeoutError') return `it gave no answer within ${timeoutMs / 1000} s`
  return `it could not be reached (${code ?? message ?? 'unknown error'})`
}
