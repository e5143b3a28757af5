import { z } from 'zod'
import { type ApiError, type ApiFailure, apiErrorOf } from './errors.ts'

/** metav1.Status, as far as we read it. Anything may be missing: proxies in between answer HTML or nothing. */
const statusSchema = z.object({
  code: z.number().int().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  details: z
    .object({
      retryAfterSeconds: z.number().optional(),
      causes: z
        .array(
          z.object({ field: z.string().default(''), reason: z.string().default(''), message: z.string().default('') }),
        )
        .optional(),
    })
    .optional(),
})

/** Longest sentence of a server or proxy that goes into an error message. */
const MESSAGE_LIMIT = 1_000

/** An answer that is not a success, as the error of its meaning. `retryAfter` is the header's value. */
export function errorFromResponse(call: string, code: number, body: string, retryAfter: string | undefined): ApiError {
  return apiErrorOf({ ...failureFromStatus(call, parse(body), code), ...retryAfterOf(retryAfter) })
}

/** The object of a watch's ERROR event, as the error of its meaning. */
export function errorFromStatusObject(call: string, status: unknown): ApiError {
  return apiErrorOf(failureFromStatus(call, status, 500))
}

function failureFromStatus(call: string, body: unknown, httpCode: number): ApiFailure & { code: number } {
  const parsed = statusSchema.safeParse(body)
  const status = parsed.success ? parsed.data : {}
  const code = status.code ?? httpCode
  return {
    call,
    code,
    message: (status.message ?? `the server answered HTTP ${httpCode} without a reason`).slice(0, MESSAGE_LIMIT),
    ...(status.reason ? { reason: status.reason } : {}),
    ...(status.details?.causes ? { causes: status.details.causes } : {}),
    ...(status.details?.retryAfterSeconds ? { retryAfterMs: status.details.retryAfterSeconds * 1_000 } : {}),
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** Only the seconds form: the API server sends no dates. */
function retryAfterOf(header: string | undefined): { retryAfterMs?: number } {
  const seconds = Number(header)
  return header !== undefined && Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1_000 } : {}
}
