/** One reason why a field was refused (Status.details.causes). */
export interface InvalidCause {
  readonly field: string
  readonly reason: string
  readonly message: string
}

/** What an ApiError is made of. `call` is `METHOD /path` without the query. */
export interface ApiFailure {
  readonly call: string
  /** HTTP status; undefined when no answer came. */
  readonly code?: number
  /** Status.reason, such as `AlreadyExists`. */
  readonly reason?: string
  readonly message: string
  readonly causes?: readonly InvalidCause[]
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

export type ApiErrorKind =
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Invalid'
  | 'Forbidden'
  | 'Unauthorized'
  | 'Expired'
  | 'Throttled'
  | 'Unavailable'
  | 'Timeout'
  | 'Unexpected'

/**
 * A call to the API server that did not succeed, classified once, here. The message is short: verb, path, reason and
 * the server's own sentence; never headers, bodies or credentials, so that it can be logged and shown as it is.
 */
export class ApiError extends Error {
  override readonly name: string = 'ApiError'
  readonly kind: ApiErrorKind = 'Unexpected'
  readonly code: number | undefined
  readonly reason: string | undefined

  constructor(failure: ApiFailure) {
    const reason = failure.reason ?? (failure.code === undefined ? 'no answer' : `HTTP ${failure.code}`)
    super(`${failure.call}: ${reason}: ${failure.message}`, { cause: failure.cause })
    this.code = failure.code
    this.reason = failure.reason
  }
}

/** 404: the object, its namespace or the whole resource (a missing CRD) does not exist. */
export class NotFoundError extends ApiError {
  override readonly name = 'NotFoundError'
  override readonly kind = 'NotFound'
}

/** 409 on create: an object of this name is there already. */
export class AlreadyExistsError extends ApiError {
  override readonly name = 'AlreadyExistsError'
  override readonly kind = 'AlreadyExists'
}

/** 409: a stale resourceVersion, a failed precondition, or a field that another manager owns. */
export class ConflictError extends ApiError {
  override readonly name = 'ConflictError'
  override readonly kind = 'Conflict'
}

/** 400, 422, or a 500 that says that an applied object has no type: the object is refused; `causes` say which fields and why. Repeating it changes nothing. */
export class InvalidError extends ApiError {
  override readonly name = 'InvalidError'
  override readonly kind = 'Invalid'
  readonly causes: readonly InvalidCause[]

  constructor(failure: ApiFailure) {
    super(failure)
    this.causes = failure.causes ?? []
  }
}

/** 403: RBAC, a quota or an admission plugin says no. */
export class ForbiddenError extends ApiError {
  override readonly name = 'ForbiddenError'
  override readonly kind = 'Forbidden'
}

/** 401: the credentials are missing, expired or not valid. */
export class UnauthorizedError extends ApiError {
  override readonly name = 'UnauthorizedError'
  override readonly kind = 'Unauthorized'
}

/** 410: the resourceVersion or continue token is older than what the server keeps; list again. */
export class ExpiredError extends ApiError {
  override readonly name = 'ExpiredError'
  override readonly kind = 'Expired'
}

/** 429: rejected before it was executed; try again after `retryAfterMs` (1,000 when the server named none). */
export class ThrottledError extends ApiError {
  override readonly name = 'ThrottledError'
  override readonly kind = 'Throttled'
  readonly retryAfterMs: number

  constructor(failure: ApiFailure) {
    super(failure)
    this.retryAfterMs = failure.retryAfterMs ?? 1_000
  }
}

/** 5xx other than a time-out, or no connection at all. The call may have been executed. */
export class UnavailableError extends ApiError {
  override readonly name = 'UnavailableError'
  override readonly kind = 'Unavailable'
  readonly retryAfterMs: number | undefined

  constructor(failure: ApiFailure) {
    super(failure)
    this.retryAfterMs = failure.retryAfterMs
  }
}

/** No answer within the call's time, or the server's own 504. The call may have been executed. */
export class TimeoutError extends ApiError {
  override readonly name = 'TimeoutError'
  override readonly kind = 'Timeout'
}

type ApiErrorClass = new (failure: ApiFailure) => ApiError

const CLASS_BY_CODE: Readonly<Record<number, ApiErrorClass>> = {
  400: InvalidError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  409: ConflictError,
  410: ExpiredError,
  422: InvalidError,
  429: ThrottledError,
  504: TimeoutError,
}

/** The reason is more exact than the code: 409 alone may be AlreadyExists or Conflict, 410 Gone or Expired. */
const CLASS_BY_REASON: Readonly<Record<string, ApiErrorClass>> = {
  AlreadyExists: AlreadyExistsError,
  Expired: ExpiredError,
  Gone: ExpiredError,
  Invalid: InvalidError,
  Timeout: TimeoutError,
}

/** The class for an answer of the server (HTTP status and its Status object, or an ERROR event of a watch). */
export function apiErrorOf(failure: ApiFailure & { readonly code: number }): ApiError {
  const byReason = failure.reason === undefined ? undefined : CLASS_BY_REASON[failure.reason]
  // A part of an object that no field of the API can hold: the server says 500, and would say so for ever.
  if (failure.code === 500 && failure.message.includes('failed to create typed patch object'))
    return new InvalidError(failure)
  const chosen = byReason ?? CLASS_BY_CODE[failure.code] ?? (failure.code >= 500 ? UnavailableError : ApiError)
  return new chosen(failure)
}
