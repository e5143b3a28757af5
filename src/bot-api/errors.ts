import { z } from 'zod'

/** Why the API did not do what it was asked, each with its HTTP status. */
export const API_ERRORS = {
  UNAUTHORIZED: { status: 401, about: 'The key is missing or wrong, or there is no such ShardCluster.' },
  API_DISABLED: { status: 403, about: 'The ShardCluster names no key for this API.' },
  OPCODE_REFUSED: { status: 403, about: 'An opcode that only the shard itself sends.' },
  INVALID_REQUEST: { status: 400, about: 'The request is not what this route takes; see `errors`.' },
  WRONG_SHARD: { status: 400, about: 'The guild is on another shard than the one addressed.' },
  NOT_FOUND: { status: 404, about: 'There is no such route.' },
  NO_SUCH_SHARD: { status: 404, about: 'The bot has fewer shards.' },
  REQUEST_TIMEOUT: { status: 408, about: 'The request did not come in time.' },
  PAYLOAD_TOO_LARGE: { status: 413, about: 'Discord takes payloads of 4096 bytes at most.' },
  HEADERS_TOO_LARGE: { status: 431, about: 'The headers have more than 16 KB.' },
  RATE_LIMITED: {
    status: 429,
    about: 'More requests than the API takes of one ShardCluster, or without a valid key from one address.',
  },
  SEND_LIMITED: { status: 429, about: "Discord's limit of 120 sends per 60 s and shard leaves no room in time." },
  MEMBERS_LIMITED: { status: 429, about: 'All members of a guild can be requested once in 30 s.' },
  INTERNAL: { status: 500, about: 'A fault of the operator; its log says more.' },
  WORKER_OUTDATED: { status: 501, about: 'The worker of this shard is of a release that sends nothing for bots.' },
  OUTCOME_UNKNOWN: { status: 502, about: 'The worker was told, and nobody knows whether the payload was sent.' },
  NOT_CONNECTED: { status: 503, about: 'The shard has no connection to Discord now.' },
  UNASSIGNED: { status: 503, about: 'No worker holds the shard now; it moves, or its worker is not there yet.' },
  WORKER_AWAY: { status: 503, about: 'The worker of this shard is not heard.' },
  STARTING: { status: 503, about: 'The ShardCluster, or its number of shards, is not known yet.' },
  NOT_LEADING: { status: 503, about: 'This operator is a standby; another one answers.' },
  KEY_UNREADABLE: { status: 503, about: 'The Secret with the key cannot be read now.' },
} as const

export type ApiErrorCode = keyof typeof API_ERRORS

/** Whoever is told to come back and not when, comes back after this long, in seconds. */
const RETRY_SECONDS = 1

/** The one shape of every refusal; `message`, `retry_after` and `global` as in Discord's own. */
export const errorSchema = z
  .object({
    code: z.enum(Object.keys(API_ERRORS) as [ApiErrorCode, ...ApiErrorCode[]]),
    message: z.string().describe('What is wrong, and what to do.'),
    retry_after: z
      .number()
      .min(0)
      .optional()
      .describe('Seconds to wait before the same request can succeed; the Retry-After header is the same, rounded up.'),
    global: z
      .boolean()
      .optional()
      .describe('With 429. false: only this shard, or this guild, is limited; true: every request is.'),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('With INVALID_REQUEST: each field that is wrong.'),
  })
  .describe('Why nothing, or not everything, was done.')
export type ErrorBody = z.infer<typeof errorSchema>

/** A refusal on its way to the caller. Its message is for people and holds no secret. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly status: number
  /** Seconds. */
  readonly retryAfter: number | undefined
  readonly errors: ErrorBody['errors']

  /** `retryAfterMs`: when the same can succeed, in milliseconds. */
  constructor(
    code: ApiErrorCode,
    message: string,
    {
      retryAfterMs,
      errors,
    }: { readonly retryAfterMs?: number | undefined; readonly errors?: ErrorBody['errors'] } = {},
  ) {
    super(message)
    this.code = code
    this.status = API_ERRORS[code].status
    const known = retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs) / 1_000
    this.retryAfter = known ?? (this.status === 503 ? RETRY_SECONDS : undefined)
    this.errors = errors
  }

  get body(): ErrorBody {
    const { code, message, retryAfter, errors, status } = this
    return {
      code,
      message,
      ...(retryAfter !== undefined && { retry_after: retryAfter }),
      ...(status === 429 && { global: code === 'RATE_LIMITED' }),
      ...(errors && { errors }),
    }
  }
}

/** A value that does not fit its schema, as a refusal. `where`: `body`, `query` or `path`. */
export function invalidRequest(where: string, error: z.ZodError): ApiError {
  const errors = error.issues.map(({ path, message }) => ({ path: [where, ...path].join('.'), message }))
  const [first] = errors
  return new ApiError('INVALID_REQUEST', `The request is not valid: ${first?.path}: ${first?.message}.`, { errors })
}
