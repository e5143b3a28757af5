import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { createRestManager, type RestManager, type SendRequestOptions } from '@discordeno/rest'
import { Agent, request } from 'undici'
import { REST_PROXY } from '../limits.ts'
import type { Logger } from '../support/logger.ts'
import { readAnswer } from './bodies.ts'
import type { Claim } from './budget.ts'
import type { RestProxySettings } from './options.ts'

/** A request as a caller made it, without what belongs to the proxy itself. */
export interface DiscordRequest {
  readonly method: string
  /** Below the API version, with its query: `/gateway/bot?x=1`. */
  readonly route: string
  readonly version: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
  /** Aborts when the caller is gone or out of time: what still waits is then never sent. */
  readonly signal: AbortSignal
  /** `performance.now()` at which the caller is out of time. */
  readonly deadline: number
  /** Counts what is kept of the answer. */
  readonly claim: Claim
}

/** Discord's answer, unchanged, or the 429 that Discord would give. */
export interface DiscordResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  /** A stream when it is long: destroy it when it is not read to its end. */
  readonly body: Buffer | Readable
}

/** Nothing came back that is an answer: no connection, or it broke. Whether Discord acted on the request is unknown. */
export class DiscordUnreachableError extends Error {
  override readonly name = 'DiscordUnreachableError'
}

interface Call {
  readonly request: DiscordRequest
  readonly resolve: (response: DiscordResponse) => void
  readonly reject: (error: unknown) => void
}

/**
 * Discord's REST API behind the queues and rate-limit bookkeeping of @discordeno/rest, which 21.0.0 gets right;
 * sending and waiting are done here, because there 21.0.0 has no time-out (a request that hangs stalls its route for
 * ever), retries a 429 without end, drops the headers of an answer and polls once a second.
 */
export class Discord {
  readonly #settings: RestProxySettings
  readonly #rest: RestManager
  // Node's HTTP/2 never ends when a body is given up that is not sent yet: see Protocol in operator/kube/connection.ts.
  readonly #agent = new Agent({ connections: 256, keepAliveTimeout: 30_000, allowH2: false })
  readonly #calls = new WeakMap<SendRequestOptions, Call>()
  readonly #limitedFor: RestManager['checkRateLimits']

  constructor(settings: RestProxySettings, log: Logger) {
    this.#settings = settings
    this.#rest = createRestManager({ token: settings.token, logger: plainLogger(log) })
    // Set after creation: given to it as `proxy.baseUrl`, it would turn the queues off.
    this.#rest.baseUrl = settings.discordUrl.replace(/\/$/, '')
    this.#limitedFor = this.#rest.checkRateLimits
    // The queues do not wait for a limit to reset: #send does, and gives up with its caller.
    this.#rest.checkRateLimits = () => false
    this.#rest.sendRequest = (options) => this.#run(options)
  }

  /** Sends one request in its route's turn. Rejects with DiscordUnreachableError, or with the signal's reason. */
  async request(proxied: DiscordRequest): Promise<DiscordResponse> {
    proxied.signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<DiscordResponse>()
    const options: SendRequestOptions = {
      route: proxied.route.split('?', 1)[0] ?? '/',
      method: proxied.method as SendRequestOptions['method'],
      retryCount: 0,
      resolve: () => undefined,
      reject: () => undefined,
    }
    this.#calls.set(options, { request: proxied, resolve, reject })
    const abort = () => {
      // Its turn may be far away, and its body is as good as gone for whoever counts what is kept.
      this.#calls.delete(options)
      reject(proxied.signal.reason)
    }
    proxied.signal.addEventListener('abort', abort, { once: true })
    this.#rest.processRequest(options).catch(reject)
    return promise.finally(() => proxied.signal.removeEventListener('abort', abort))
  }

  /** Clears every timer of the queues and closes the connections. */
  async close(): Promise<void> {
    for (const queue of this.#rest.queues.values()) {
      clearTimeout(queue.timeoutId)
      clearTimeout(queue.deleteQueueTimeout)
      // A request that is cut off now ends in the queue's clean-up, which would keep the process for a minute.
      queue.deleteQueueDelay = 0
    }
    this.#rest.queues.clear()
    this.#rest.rateLimitedPaths.clear()
    await this.#agent.destroy()
  }

  /** What a queue calls when it is a request's turn. Never rejects, and always frees the turn. */
  async #run(options: SendRequestOptions): Promise<void> {
    const call = this.#calls.get(options)
    // Nobody waits for it any more.
    if (call === undefined) return this.#free(options, undefined)
    let response: DiscordResponse | undefined
    try {
      response = await this.#send(options, call.request)
      call.resolve(response)
    } catch (error) {
      call.reject(error)
    } finally {
      this.#free(options, response)
    }
  }

  async #send(options: SendRequestOptions, proxied: DiscordRequest): Promise<DiscordResponse> {
    for (let retries = 0; ; retries += 1) {
      const limitedMs = this.#limitOf(options)
      if (performance.now() + limitedMs > proxied.deadline) return rateLimited(limitedMs)
      if (limitedMs > 0) await delay(limitedMs, undefined, { signal: proxied.signal })
      proxied.signal.throwIfAborted()
      const response = await this.#exchange(proxied)
      const bucketId = this.#learn(options, response)
      if (bucketId !== undefined) options.bucketId = bucketId
      const waitMs = response.status === 429 ? retryAfterMs(response) : undefined
      if (waitMs === undefined || retries >= this.#settings.maxRetries) return response
      if (performance.now() + waitMs >= proxied.deadline) return response
      discard(response, proxied.claim)
      this.#rest.invalidBucket.handleCompletedRequest(429, isShared(response))
      await this.#rest.invalidBucket.waitUntilRequestAvailable()
      await delay(waitMs, undefined, { signal: proxied.signal })
    }
  }

  async #exchange({ method, route, version, headers, body, signal, claim }: DiscordRequest): Promise<DiscordResponse> {
    const url = `${this.#rest.baseUrl}/v${version}${route}`
    const authorization = `Bot ${this.#settings.token}`
    try {
      const response = await request(url, {
        method: method as 'GET',
        headers: { ...this.#rest.createBaseHeaders(), ...headers, authorization },
        body: body ?? null,
        signal,
        dispatcher: this.#agent,
        headersTimeout: this.#settings.timeoutMs,
        bodyTimeout: this.#settings.timeoutMs,
      })
      if (response.statusCode > 599) throw new RangeError('a status that HTTP does not have')
      const answer = await readAnswer(response.body, claim)
      return { status: response.statusCode, headers: definedOnly(response.headers), body: answer }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw new DiscordUnreachableError(`cannot reach Discord at ${this.#rest.baseUrl}`, { cause: error })
    }
  }

  /** Milliseconds until Discord takes the route's next request, by what earlier answers said. */
  #limitOf(options: SendRequestOptions): number {
    const identifier = `Bot ${this.#settings.token}`
    const ofRoute = this.#limitedFor(this.#rest.simplifyUrl(options.route, options.method), identifier) || 0
    const ofBucket = options.bucketId === undefined ? 0 : this.#limitedFor(options.bucketId, identifier) || 0
    return Math.max(ofRoute, ofBucket)
  }

  /** Remembers the rate limit an answer tells; returns the bucket when it is used up. */
  #learn(options: SendRequestOptions, response: DiscordResponse): string | undefined {
    // Not left to processHeaders: its timer for a global limit cannot be stopped, and would outlive the process' end.
    if (response.headers['x-ratelimit-global'] !== undefined) {
      const resetTimestamp = Date.now() + retryAfterMs(response)
      this.#rest.rateLimitedPaths.set('global', { url: 'global', resetTimestamp })
    }
    const seen = new Headers()
    for (const [name, value] of Object.entries(response.headers)) {
      if (name.startsWith('x-ratelimit-') && name !== 'x-ratelimit-global') seen.set(name, String(value))
    }
    if (seen.has(RESET_AFTER)) seen.set(RESET_AFTER, String(retryAfterMs(response) / 1000))
    const route = this.#rest.simplifyUrl(options.route, options.method)
    return this.#rest.processHeaders(route, seen, `Bot ${this.#settings.token}`)
  }

  /** Gives the route's turn to whoever is next, at once, and whatever happened. */
  #free(options: SendRequestOptions, response: DiscordResponse | undefined): void {
    // An answer made here is no request to Discord, and neither is none.
    const status = response === undefined || response.headers[MADE_HERE] !== undefined ? 0 : response.status
    this.#rest.invalidBucket.handleCompletedRequest(status, response !== undefined && isShared(response))
    const key = `Bot ${this.#settings.token}${this.#rest.simplifyUrl(options.route, options.method)}`
    const queue = this.#rest.queues.get(key)
    if (queue === undefined) return
    clearTimeout(queue.timeoutId)
    queue.timeoutId = undefined
    queue.interval = 0
    queue.remaining = 1
    for (const next of queue.waiting.splice(0)) next()
  }
}

/** Marks an answer that did not come from Discord; nirn-proxy uses the same name. */
const MADE_HERE = 'generated-by-proxy'
const RESET_AFTER = 'x-ratelimit-reset-after'

/** The 429 of a resource that others used up does not count as an invalid request. */
const isShared = ({ headers }: DiscordResponse): boolean => headers['x-ratelimit-scope'] === 'shared'

/** A 429 without asking Discord: it would be one, and asking counts against the limit of invalid requests. */
function rateLimited(milliseconds: number): DiscordResponse {
  const seconds = milliseconds / 1000
  const body = { message: 'You are being rate limited.', retry_after: seconds, global: false }
  return {
    status: 429,
    headers: {
      'content-type': 'application/json',
      'retry-after': String(Math.ceil(seconds)),
      [RESET_AFTER]: String(seconds),
      [MADE_HERE]: 'true',
    },
    body: Buffer.from(JSON.stringify(body)),
  }
}

/**
 * How long an answer asks to wait: at most as long as Discord counts; a second when it does not say, so that a 429 is
 * never sent again at once.
 */
function retryAfterMs({ headers }: DiscordResponse): number {
  const seconds = Number(headers[RESET_AFTER] ?? headers['retry-after'])
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1000, REST_PROXY.retryAfterMs) : 1000
}

/** An answer that is not passed on is kept no longer. */
function discard({ body }: DiscordResponse, claim: Claim): void {
  if (Buffer.isBuffer(body)) claim.add(-body.length)
  else body.destroy()
}

function definedOnly(headers: Readonly<Record<string, string | string[] | undefined>>): DiscordResponse['headers'] {
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string | string[]] => entry[1] !== undefined),
  )
}

/** discordeno serialises its logger when it warns about invalid requests: only functions survive that. */
function plainLogger(log: Logger) {
  return {
    debug: (message: string) => log.trace(message),
    info: (message: string) => log.debug(message),
    warn: (message: string) => log.warn(message),
    error: (message: string) => log.error(message),
    fatal: (message: string) => log.fatal(message),
  }
}
