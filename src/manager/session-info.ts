import { createRestManager } from '@discordeno/rest'
import { z } from 'zod'
import type { SessionStartLimit } from '../domain/start-budget.ts'

/** What `GET /gateway/bot` says, checked. */
export interface SessionInfo {
  readonly url: string
  /** Discord's recommended number of shards. */
  readonly shards: number
  readonly limit: SessionStartLimit
}

export type SessionInfoProblem = {
  readonly reason: 'RestProxyUnavailable' | 'RestProxyUnauthorized' | 'RestProxyRateLimited' | 'TokenRejected'
  readonly message: string
  /** Do not ask again before this many milliseconds. */
  readonly retryAfterMs?: number
}

export type SessionInfoAnswer =
  | { readonly ok: true; readonly info: SessionInfo }
  | { readonly ok: false; readonly problem: SessionInfoProblem }

/** Where session info comes from; never throws. */
export interface SessionInfoSource {
  ask(): Promise<SessionInfoAnswer>
}

export interface RestOptions {
  /** Without a slash at the end and without /v10. */
  readonly baseUrl: string
  /** What the proxy wants in the authorization header; undefined: `Bot <token>`. */
  readonly authorization: string | undefined
  readonly token: string
  readonly timeoutMs: number
}

/** As discordeno camelizes it; zod drops whatever else there is. */
const infoSchema = z.object({
  url: z.url({ protocol: /^wss?$/ }),
  shards: z.int().min(1),
  sessionStartLimit: z.object({
    total: z.int().min(0),
    remaining: z.int().min(0),
    resetAfter: z.number().min(0),
    maxConcurrency: z.int().min(1).max(100_000),
  }),
})

/** discordeno hands an error of the proxy on as `cause`. */
const causeSchema = z.object({ status: z.int(), body: z.string().nullish() })
const retrySchema = z.object({ retry_after: z.number().min(0) })

const quiet = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} }

/** Asks the REST proxy through @discordeno/rest, which knows no time-out and throws half of what it means. */
export function restSessionInfo({ baseUrl, authorization, token, timeoutMs }: RestOptions): SessionInfoSource {
  const rest = createRestManager({
    token,
    // discordeno would decode the bot's id from the token and throw on one that it cannot read; nothing here needs the id.
    applicationId: 1n,
    // At the top level these two are silently ignored by 21.0.0, and requests would go straight to Discord.
    proxy: { baseUrl, ...(authorization !== undefined && { authorization }) },
    logger: quiet as never,
  })
  return {
    async ask() {
      const late = new Error('timed out')
      let timer: NodeJS.Timeout | undefined
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(reject, timeoutMs, late)
      })
      try {
        const parsed = infoSchema.safeParse(await Promise.race([rest.getSessionInfo(), timeout]))
        if (!parsed.success) return nonsense(baseUrl, z.prettifyError(parsed.error))
        const { url, shards, sessionStartLimit } = parsed.data
        return { ok: true, info: { url, shards, limit: sessionStartLimit } }
      } catch (error) {
        if (error === late)
          return unavailable(`The REST proxy at ${baseUrl} did not answer within ${timeoutMs / 1000} s.`)
        return { ok: false, problem: problemOf(error, baseUrl) }
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

const unavailable = (message: string): SessionInfoAnswer => ({
  ok: false,
  problem: { reason: 'RestProxyUnavailable', message },
})

const nonsense = (baseUrl: string, why: string) =>
  unavailable(
    `The REST proxy at ${baseUrl} answered GET /v10/gateway/bot with something else than Discord's session info (${why.replaceAll('\n', ' ')}): check rest.baseUrl.`,
  )

function problemOf(error: unknown, baseUrl: string): SessionInfoProblem {
  const cause = causeSchema.safeParse((error as { cause?: unknown }).cause)
  if (!cause.success)
    return {
      reason: 'RestProxyUnavailable',
      message: `The REST proxy at ${baseUrl} could not be asked: ${whyOf(error)}.`,
    }
  const { status, body } = cause.data
  if (status === 401 || status === 403) return refused(status, body ?? '', baseUrl)
  if (status === 429) return rateLimited(body ?? '', baseUrl)
  return {
    reason: 'RestProxyUnavailable',
    message: `The REST proxy at ${baseUrl} answered ${status} to GET /v10/gateway/bot.`,
  }
}

/** Discord says `{"message": "401: Unauthorized"}`; a proxy that wants another key says anything else. */
function refused(status: number, body: string, baseUrl: string): SessionInfoProblem {
  if (body.includes('401: Unauthorized')) {
    return {
      reason: 'TokenRejected',
      message: 'Discord refused the bot token (401). Put the current token into the Secret that tokenSecretRef names.',
    }
  }
  return {
    reason: 'RestProxyUnauthorized',
    message: `The REST proxy at ${baseUrl} refused the key (${status}). Put the key it wants into the Secret that rest.authorizationSecretRef names.`,
  }
}

function rateLimited(body: string, baseUrl: string): SessionInfoProblem {
  let seconds = 60
  try {
    const parsed = retrySchema.safeParse(JSON.parse(body))
    if (parsed.success) seconds = parsed.data.retry_after
  } catch {
    // Not Discord's JSON (a Cloudflare page, say): the minute stands.
  }
  return {
    reason: 'RestProxyRateLimited',
    message: `GET /v10/gateway/bot through ${baseUrl} is rate limited for ${Math.ceil(seconds)} s (429).`,
    retryAfterMs: seconds * 1000,
  }
}

/** fetch hides why it failed in its cause; discordeno trips over an empty body. */
function whyOf(error: unknown): string {
  if (error instanceof TypeError && error.message.includes("reading 'message'"))
    return 'it answered with an error that has no body'
  const cause = (error as { cause?: { code?: unknown; message?: unknown } }).cause
  if (cause && typeof cause.code === 'string') return cause.code
  return error instanceof Error ? error.message : String(error)
}
