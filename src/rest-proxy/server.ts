import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { REST_PROXY, SERVERS } from '../limits.ts'
import { authorizationMatches } from '../support/authorization.ts'
import { type HttpServerBounds, httpServer } from '../support/http-server.ts'
import type { Logger } from '../support/logger.ts'
import { ProxyFullError } from './bodies.ts'
import { Budget } from './budget.ts'
import { Discord, DiscordUnreachableError } from './discord.ts'
import { Forwarding } from './forwarding.ts'
import { type RestProxyOptions, type RestProxySettings, restProxyOptionsSchema } from './options.ts'

/** A running REST proxy. */
export interface RestProxy {
  /** Requests go to `<url>/v10/...`. */
  readonly url: string
  /** Bytes that may be under way. */
  readonly memoryBudget: number
  /** Bytes under way now. */
  bytesUnderWay(): number
  /** Stops listening, lets what is under way finish (each has a deadline), then closes the connections to Discord. */
  close(): Promise<void>
}

/**
 * Starts the REST proxy: it owns the token and Discord's rate limits, callers own a key.
 * Throws a ZodError on wrong options, and what listen() throws when the port is taken.
 * `bounds`: what differs from the times and the limit of connections that follow from the options.
 */
export async function startRestProxy(
  options: RestProxyOptions,
  log: Logger,
  bounds: Partial<HttpServerBounds> = {},
): Promise<RestProxy> {
  const settings = restProxyOptionsSchema.parse(options)
  const discord = new Discord(settings, log)
  const budget = new Budget(settings.memoryBudget)
  const app = createApp(settings, bounds, new Forwarding(settings, discord, budget), log)
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
  return { url, memoryBudget: settings.memoryBudget, bytesUnderWay: () => budget.used, close }
}

/** What Discord's API has: TRACE would hand the token to whoever asks for its request back. */
const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

function createApp(
  settings: RestProxySettings,
  bounds: Partial<HttpServerBounds>,
  forwarding: Forwarding,
  log: Logger,
): FastifyInstance {
  const app = httpServer({ forceCloseConnections: 'idle', bounds: { ...boundsOf(settings), ...bounds } })
  const allowed = authorizationMatches(settings.authorization)
  let closing = false
  // Bodies are read where they are counted, and handed on byte for byte: JSON, multipart and whatever comes next.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.setErrorHandler(errorAnswers(log))
  // An idle keep-alive connection would hold close() for over a minute: the last answer on each says that it is one.
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close')
  })
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url === '/healthz') return
    if (!allowed(request.headers.authorization)) return reply.code(401).send({ error: 'Invalid authorization key.' })
    if (METHODS.includes(request.method)) return
    const error = `Discord has no ${request.method}.`
    return reply.code(405).header('allow', METHODS.join(', ')).send({ error })
  })
  app.get('/healthz', () => ({ status: 'ok' }))
  app.all('/*', (request, reply) => forwarding.forward(request, reply))
  return app
}

/** A caller waits in silence for its answer, and an upload takes its time. */
function boundsOf({ maxRequests, timeoutMs }: RestProxySettings): Partial<HttpServerBounds> {
  return {
    // Beside those that wait: whoever is refused must be able to say what it wants, and probes come too.
    connections: maxRequests + SERVERS.connections,
    requestMs: REST_PROXY.requestMs,
    silenceMs: timeoutMs + SERVERS.silenceMs,
  }
}

/** What callers are told of errors, and what the log is. */
function errorAnswers(log: Logger): (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply {
  let refusedAt = Number.NEGATIVE_INFINITY
  return (error, { method }, reply) => {
    if (error instanceof DiscordUnreachableError) {
      log.warn({ error, method }, 'cannot reach Discord')
      return reply.code(502).send({ error: `${error.message}: ${reasonOf(error.cause)}` })
    }
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
    if (error instanceof ProxyFullError) {
      reply.header('retry-after', 1)
      if (performance.now() - refusedAt >= REST_PROXY.refusalLogMs) {
        refusedAt = performance.now()
        log.warn({ reason: error.message }, 'callers are refused')
      }
    } else if (status >= 500) log.error({ error, method }, 'a request failed')
    return reply.code(status).send({ error: error instanceof Error ? error.message : 'unknown error' })
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof RangeError) return cause.message
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'the connection broke'
}
