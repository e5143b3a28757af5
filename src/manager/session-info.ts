import { type Dispatcher, request } from 'undici'
import { z } from 'zod'
import { gatewayUrlProblem } from '../domain/gateway-host.ts'
import type { SessionStartLimit } from '../domain/start-budget.ts'
import { FROM_REST_PROXY, MAX_SHARDS } from '../limits.ts'
import { limitedText, TooLarge } from './limited-text.ts'

/** What `GET /gateway/bot` says, checked. */
export interface SessionInfo {
  readonly url: string
  /** Discord's recommended number of shards. */
  readonly shards: number
  readonly limit: SessionStartLimit
}

export type SessionInfoProblem = {
  readonly reason:
    | 'RestProxyUnavailable'
    | 'RestProxyUnauthorized'
    | 'RestProxyRateLimited'
    | 'TokenRejected'
    | 'GatewayNotAllowed'
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
  /** Hosts that the gateway may be on: `spec.gateway.hosts`. */
  readonly gatewayHosts: readonly string[]
}

/** How the REST proxy is reached. Default: undici's own. */
export interface RestWay {
  readonly dispatcher: Dispatcher
  /** Why this host must not be asked, in a sentence; undefined: it may. What a name leads to is for the dispatcher to see. */
  readonly problem: (baseUrl: string) => string | undefined
  /** What an error of the dispatcher means, in a sentence; undefined: nothing that it knows. */
  readonly explain?: (error: unknown, baseUrl: string) => string | undefined
}

/** https://discord.com/developers/docs/events/gateway#get-gateway-bot; zod drops whatever else there is. */
export const sessionInfoSchema = z.object({
  url: z.url({ protocol: /^wss?$/ }).max(FROM_REST_PROXY.urlLength),
  shards: z.int().min(1).max(MAX_SHARDS),
  session_start_limit: z.object({
    total: z.int().min(0).max(FROM_REST_PROXY.starts),
    remaining: z.int().min(0).max(FROM_REST_PROXY.starts),
    reset_after: z.number().min(0).max(FROM_REST_PROXY.resetAfterMs),
    max_concurrency: z.int().min(1).max(FROM_REST_PROXY.concurrency),
  }),
})

const retrySchema = z.object({ retry_after: z.number().min(0) })

/**
 * Asks the REST proxy. Not with @discordeno/rest, whose question is a `fetch()` without an end: it follows redirects,
 * inflates and reads whatever comes, for as long as it comes, and puts the header's text into its errors.
 */
export function restSessionInfo(options: RestOptions, way?: RestWay): SessionInfoSource {
  const { baseUrl, timeoutMs } = options
  return {
    async ask() {
      const forbidden = way?.problem(baseUrl)
      if (forbidden !== undefined) return unavailable(forbidden)
      const late = AbortSignal.timeout(timeoutMs)
      try {
        return await answerOf(options, way, late)
      } catch (error) {
        if (late.aborted)
          return unavailable(`The REST proxy at ${baseUrl} did not answer within ${timeoutMs / 1000} s.`)
        const explained = way?.explain?.(error, baseUrl)
        if (explained !== undefined) return unavailable(explained)
        if (error instanceof TooLarge)
          return unavailable(
            `The REST proxy at ${baseUrl} answered GET /v10/gateway/bot with more than ${FROM_REST_PROXY.answerBytes} bytes: check rest.baseUrl.`,
          )
        return unavailable(`The REST proxy at ${baseUrl} could not be asked: ${codeOf(error)}.`)
      }
    },
  }
}

async function answerOf(
  { baseUrl, authorization, token, gatewayHosts }: RestOptions,
  way: RestWay | undefined,
  signal: AbortSignal,
): Promise<SessionInfoAnswer> {
  const { statusCode, headers, body } = await request(`${baseUrl}/v10/gateway/bot`, {
    method: 'GET',
    // Nothing is inflated: what is not as small as it says is none of Discord's.
    headers: {
      ...{ accept: 'application/json', 'accept-encoding': 'identity' },
      authorization: authorization ?? `Bot ${token}`,
    },
    signal,
    ...(way && { dispatcher: way.dispatcher }),
  })
  const encoding = headers['content-encoding'] ?? 'identity'
  const text = await limitedText(body, FROM_REST_PROXY.answerBytes)
  if (statusCode !== 200) return { ok: false, problem: problemOf(statusCode, text, baseUrl) }
  if (encoding !== 'identity') return nonsense(baseUrl, 'it is compressed, although nobody asked for that')
  const parsed = sessionInfoSchema.safeParse(json(text))
  if (!parsed.success) return nonsense(baseUrl, whatIsWrong(parsed.error))
  const { url, shards, session_start_limit: limit } = parsed.data
  const elsewhere = gatewayUrlProblem(url, gatewayHosts)
  if (elsewhere !== undefined) return { ok: false, problem: notAllowed(baseUrl, elsewhere) }
  const { total, remaining, reset_after: resetAfter, max_concurrency: maxConcurrency } = limit
  return { ok: true, info: { url, shards, limit: { total, remaining, resetAfter, maxConcurrency } } }
}

/** undefined: it is none. What a parser says of it would quote it. */
function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Names of fields and what they must be: nothing of what was answered. */
function whatIsWrong({ issues }: z.ZodError): string {
  const [first] = issues
  if (!first || first.path.length === 0) return 'it is no JSON object'
  return `${first.path.join('.')} is missing or out of its range`
}

const notAllowed = (baseUrl: string, why: string): SessionInfoProblem => ({
  reason: 'GatewayNotAllowed',
  message: `The REST proxy at ${baseUrl} says where the gateway is, but ${why}. If the bot token may go there, add it to spec.gateway.hosts; a gateway without encryption needs ws:// in front.`,
})

const unavailable = (message: string): SessionInfoAnswer => ({
  ok: false,
  problem: { reason: 'RestProxyUnavailable', message },
})

const nonsense = (baseUrl: string, why: string) =>
  unavailable(
    `The REST proxy at ${baseUrl} answered GET /v10/gateway/bot with something else than Discord's session info (${why}): check rest.baseUrl.`,
  )

function problemOf(status: number, body: string, baseUrl: string): SessionInfoProblem {
  if (status === 401 || status === 403) return refused(status, body, baseUrl)
  if (status === 429) return rateLimited(body, baseUrl)
  const redirects = status >= 300 && status < 400 ? ', and redirects are not followed: check rest.baseUrl' : ''
  return {
    reason: 'RestProxyUnavailable',
    message: `The REST proxy at ${baseUrl} answered ${status} to GET /v10/gateway/bot${redirects}.`,
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
  // A Cloudflare page, say, is not Discord's JSON: a minute.
  const parsed = retrySchema.safeParse(json(body))
  const askedMs = parsed.success ? parsed.data.retry_after * 1_000 : 60_000
  const retryAfterMs = Math.min(askedMs, FROM_REST_PROXY.retryAfterMs)
  return {
    reason: 'RestProxyRateLimited',
    message: `GET /v10/gateway/bot through ${baseUrl} is rate limited for ${Math.ceil(retryAfterMs / 1_000)} s (429).`,
    retryAfterMs,
  }
}

/** The code alone: a message may quote what was sent or answered. */
function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : 'the connection failed'
}
