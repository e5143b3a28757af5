import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sleep } from '../support/clock.ts'
import type { HttpFault } from './faults.ts'
import type { Gateway } from './gateway.ts'
import { simulatedUser } from './payloads.ts'

/** The REST routes a gateway needs, under `/api/v10`, `/v10` and the like. Anything else is a 404, as at Discord. */
export function registerRest(app: FastifyInstance, gateway: Gateway, closing: AbortSignal): void {
  const limit = new RouteLimit(gateway)
  // Bodies of any kind are read and forgotten: no route here looks at one.
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume().once('end', () => done(null))
  })
  app.all('/*', async (request, reply) => {
    const fault = gateway.faults.takeHttp()
    if (fault !== undefined) await sleep(gateway.clock, fault.delayMs, closing)
    if (fault?.status !== undefined) return answerFault(reply, fault, fault.status)
    return answer(request, reply, gateway, limit)
  })
}

function answer(request: FastifyRequest, reply: FastifyReply, gateway: Gateway, limit: RouteLimit): FastifyReply {
  const url = advertisedUrl(gateway, request.headers.host)
  const route = routeOf(request.url)
  if (request.method !== 'GET') return notFound(reply)
  if (route === '/gateway') return reply.send({ url })
  const bot = gateway.bots.find(/^Bot (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '')
  if (route === '/gateway/bot') return bot === undefined ? unauthorized(reply) : gatewayBot(reply, bot, url, limit)
  if (route === '/users/@me')
    return bot === undefined ? unauthorized(reply) : reply.send(simulatedUser(bot.applicationId))
  return notFound(reply)
}

/** The gateway URL to tell somebody who reached this server as `host`. */
export function advertisedUrl({ settings }: Gateway, host: string | undefined): string {
  if (settings.gatewayUrl !== undefined) return settings.gatewayUrl
  return `${settings.tls === undefined ? 'ws' : 'wss'}://${host ?? `${settings.host}:${settings.port}`}`
}

function gatewayBot(reply: FastifyReply, bot: GatewayBot, url: string, limit: RouteLimit): FastifyReply {
  if (!limit.take(reply)) return rateLimited(reply, limit.resetAfterSeconds)
  const { total, remaining, resetAfter } = bot.rules.startLimit
  return reply.send({
    url,
    shards: bot.options.recommendedShards,
    session_start_limit: { total, remaining, reset_after: resetAfter, max_concurrency: bot.rules.maxConcurrency },
  })
}

type GatewayBot = NonNullable<ReturnType<Gateway['bots']['find']>>

/** The rate limit of Get Gateway Bot, with Discord's headers on each answer. */
class RouteLimit {
  readonly #gateway: Gateway
  #startedAt = Number.NEGATIVE_INFINITY
  #used = 0

  constructor(gateway: Gateway) {
    this.#gateway = gateway
  }

  get resetAfterSeconds(): number {
    const left = this.#startedAt + this.#gateway.settings.gatewayBotLimit.windowMs - this.#gateway.clock.now()
    return Math.max(0.001, Math.round(left) / 1000)
  }

  take(reply: FastifyReply): boolean {
    const { requests, windowMs } = this.#gateway.settings.gatewayBotLimit
    if (requests === 0) return true
    const now = this.#gateway.clock.now()
    if (now - this.#startedAt >= windowMs) {
      this.#startedAt = now
      this.#used = 0
    }
    this.#used += 1
    reply.header('x-ratelimit-limit', requests).header('x-ratelimit-remaining', Math.max(0, requests - this.#used))
    reply.header('x-ratelimit-reset-after', this.resetAfterSeconds).header('x-ratelimit-bucket', 'gateway-bot')
    return this.#used <= requests
  }
}

function answerFault(reply: FastifyReply, fault: HttpFault, status: number): FastifyReply {
  if (status === 429) {
    reply.header('x-ratelimit-remaining', 0).header('x-ratelimit-reset-after', fault.retryAfter)
    return rateLimited(reply, fault.retryAfter)
  }
  if (status === 401) return unauthorized(reply)
  // Discord's own 5xx often come from the proxies before it, without a body.
  return status >= 500 ? reply.code(status).send() : reply.code(status).send({ message: `${status}`, code: 0 })
}

function rateLimited(reply: FastifyReply, retryAfter: number): FastifyReply {
  reply.header('retry-after', Math.ceil(retryAfter)).header('x-ratelimit-scope', 'user')
  const body = { message: 'You are being rate limited.', retry_after: retryAfter, global: false }
  return reply.code(429).send(body)
}

const unauthorized = (reply: FastifyReply) => reply.code(401).send({ message: '401: Unauthorized', code: 0 })
const notFound = (reply: FastifyReply) => reply.code(404).send({ message: '404: Not Found', code: 0 })

/** `/api/v10/gateway/bot?x` and `/v10/gateway/bot` are both `/gateway/bot`. */
function routeOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').replace(/^\/api(?=\/)/, '').replace(/^\/v\d+(?=\/)/, '')
}
