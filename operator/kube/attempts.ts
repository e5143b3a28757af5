import { type Clock, sleep } from '../../src/support/clock.ts'
import { type ApiCall, type Method, nameOf, onAbort } from './call.ts'
import { ApiError, ThrottledError, TimeoutError, UnavailableError } from './errors.ts'

/** For one try of a call that names no time of its own, in milliseconds. */
export const DEFAULT_TIMEOUT_MS = 30_000
const MAX_TRIES = 5
/** A server that asks for more is not obeyed inside the call: the caller's own back-off is the better place to wait. */
const LONGEST_RETRY_AFTER_MS = 30_000

type Attempt<T> = (signal: AbortSignal) => Promise<T>

/**
 * Runs `attempt`, each try within the call's time, and repeats it only when the server says that it did not execute
 * the call and when to come back. Throws an ApiError, or the reason of the caller's signal.
 */
export async function attempted<T>(clock: Clock, call: ApiCall, attempt: Attempt<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await timed(clock, call, attempt)
    } catch (error) {
      const waitMs = retryDelay(call.method, error)
      if (waitMs === undefined || tries === MAX_TRIES) throw error
      await sleep(clock, waitMs, call.signal)
    }
  }
}

async function timed<T>(clock: Clock, call: ApiCall, attempt: Attempt<T>): Promise<T> {
  call.signal?.throwIfAborted()
  const timeoutMs = call.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const abort = new AbortController()
  const unlink = onAbort(call.signal, () => abort.abort(call.signal?.reason))
  const cancel = clock.after(timeoutMs, () => {
    abort.abort(new TimeoutError({ call: nameOf(call), message: `no complete answer within ${timeoutMs} ms` }))
  })
  try {
    // A call that waits for its connection does not hear undici's abort until the connection stands or fails.
    return await Promise.race([attempt(abort.signal), rejectedBy(abort.signal)])
  } catch (error) {
    call.signal?.throwIfAborted()
    throw asApiError(call, abort.signal.aborted ? abort.signal.reason : error)
  } finally {
    cancel()
    unlink()
  }
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => void onAbort(signal, () => reject(signal.reason)))
}

/**
 * Milliseconds until another try, or undefined for none. 429 is sent before anything was executed: any call may be
 * repeated. 503 may come from a proxy after the server had the call: a repeated POST could create two objects.
 */
function retryDelay(method: Method, error: unknown): number | undefined {
  if (!(error instanceof ThrottledError || error instanceof UnavailableError)) return undefined
  const safe = error instanceof ThrottledError || (error.code === 503 && method !== 'POST')
  const waitMs = error.retryAfterMs
  return safe && waitMs !== undefined && waitMs <= LONGEST_RETRY_AFTER_MS ? waitMs : undefined
}

const TIMEOUT_CODES = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT'])

/** Whether no answer came in time, as undici or this module says it. */
export function isTimeout(error: unknown): boolean {
  return error instanceof TimeoutError || TIMEOUT_CODES.has(codeOf(error) ?? '')
}

/** A failure below HTTP (refused, reset, TLS, not JSON) as the ApiError of its meaning; ApiErrors stay what they are. */
export function asApiError(call: ApiCall, error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const text = error instanceof Error ? error.message : String(error)
  const code = codeOf(error)
  const failure = { call: nameOf(call), message: [code, text].filter(Boolean).join(': '), cause: error }
  return isTimeout(error) ? new TimeoutError(failure) : new UnavailableError(failure)
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
