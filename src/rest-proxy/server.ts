import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { authorizationMatches } from '../support/authorization.ts'
import type { Logger } from '../support/logger.ts'
import { Discord, type DiscordResponse, DiscordUnreachableError } from './discord.ts'
import { type RestProxyOptions, type RestProxySettings, restProxyOptionsSchema } from './options.ts'

/** A running REST proxy. */
export interface RestProxy {
  /** Requests go to `<url>/v10/...`. */
  readonly url: string
  /** Stops listening, lets what is under way finish (each has a deadline), then closes the connections to Discord. */
  close(): Promise<void>
}

/** Request headers that mean something to Discord; all others are the proxy's business, or the caller's secret. */
const FORWARDED_HEADERS = ['content-type', 'x-audit-log-reason', 'accept', 'accept-language']
/** Answer headers that belong to one hop, or are made anew. */
const HOP_HEADERS = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'set-cookie',
  'alt-svc',
  'date',
  'server',
])

/**
 * Starts the REST proxy: it owns the token and Discord's rate limits, callers own a key.
 * Throws a ZodError on wrong options, and what listen() throws when the port is taken.
 */
export async function startRestProxy(options: RestProxyOptions, log: Logger): Promise<RestProxy> {
  const settings = restProxyOptionsSchema.parse(options)
  const discord = new Discord(settings, log)
  const app = createApp(settings, discord, log)
  const close = async () => {
    // Every request has a deadline; whoever is still connected after it reads too slowly to wait for.
    const force = setTimeout(() => app.server.closeAllConnections(), settings.timeoutMs + 1000)
    await app.close()
    clearTimeout(force)
    await discord.close()
  }
  const url = await app.listen({ host: settings.host, port: settings.port }).catch(async (error) => {
    await close()
    throw error
  })
  return { url, close }
}

function createApp(settings: RestProxySettings, discord: Discord, log: Logger): FastifyInstance {
  const app = Fastify({ bodyLimit: settings.bodyLimit, forceCloseConnections: 'idle', logger: false })
  const allowed = authorizationMatches(settings.authorization)
  let inside = 0
  let closing = false
  // Bodies are handed on byte for byte: JSON, multipart and whatever comes next.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log))
  // An idle keep-alive connection would hold close() for over a minute: the last answer on each says that it is one.
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close')
  })
  app.get('/healthz', () => ({ status: 'ok' }))
  app.all('/*', {
    onRequest: async (request, reply) => {
      if (!allowed(request.headers.authorization)) return reply.code(401).send({ error: 'Invalid authorization key.' })
      if (inside >= settings.maxRequests) return reply.code(503).header('retry-after', 1).send({ error: TOO_MANY })
      inside += 1
      reply.raw.once('close', () => {
        inside -= 1
      })
    },
    handler: (request, reply) => forward(request, reply, settings, discord),
  })
  return app
}

const TOO_MANY = 'Too many requests are waiting in the proxy; try again later.'

async function forward(request: FastifyRequest, reply: FastifyReply, settings: RestProxySettings, discord: Discord) {
  const target = targetOf(request.url)
  if (target === undefined) return reply.code(400).send({ error: 'The path must stay below the API: /v10/...' })
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort(new Error('the caller is gone')))
  const timeout = AbortSignal.timeout(settings.timeoutMs)
  try {
    const response = await discord.request({
      ...target,
      method: request.method,
      headers: forwardedHeaders(request),
      body: Buffer.isBuffer(request.body) && request.body.length > 0 ? request.body : undefined,
      signal: AbortSignal.any([timeout, gone.signal]),
      deadline: performance.now() + settings.timeoutMs,
    })
    return pass(reply, response)
  } catch (error) {
    if (gone.signal.aborted) return reply.code(499).send()
    if (!timeout.aborted) throw error
    const what = `${request.method} ${target.route.split('?', 1)[0]}`
    return reply.code(504).send({ error: `Discord did not answer ${what} within ${settings.timeoutMs} ms.` })
  }
}

function pass(reply: FastifyReply, { status, headers, body }: DiscordResponse): FastifyReply {
  reply.code(status)
  for (const [name, value] of Object.entries(headers)) if (!HOP_HEADERS.has(name)) reply.header(name, value)
  return body.length === 0 ? reply.send() : reply.send(body)
}

/** `/v10/x`, `/api/v10/x` and `/x` are the route `/x`. Undefined when the path climbs out of the API. */
function targetOf(url: string): { readonly route: string; readonly version: number } | undefined {
  const [, version, route] = /^(?:\/api(?=\/))?(?:\/v(\d{1,2})(?=\/))?(\/.*)$/.exec(url) ?? []
  if (route === undefined) return undefined
  const { pathname } = new URL(`http://discord${route.startsWith('//') ? '' : route}`)
  // The URL parser resolves `..` and its escaped forms: a route it changes is not one of Discord's.
  if (pathname !== route.split('?', 1)[0]) return undefined
  return { route, version: version === undefined ? 10 : Number(version) }
}

function forwardedHeaders({ headers }: FastifyRequest): Record<string, string> {
  const known = FORWARDED_HEADERS.map((name) => [name, headers[name]] as const)
  return Object.fromEntries(known.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  if (error instanceof DiscordUnreachableError) {
    log.warn({ error, method: request.method }, 'cannot reach Discord')
    return reply.code(502).send({ error: `${error.message}: ${reasonOf(error.cause)}` })
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status >= 500) log.error({ error, method: request.method }, 'a request failed')
  return reply.code(status).send({ error: error instanceof Error ? error.message : 'unknown error' })
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'the connection broke'
}
