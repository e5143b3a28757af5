import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { FROM_BOTS, SERVERS } from '../limits.ts'
import type { Clock } from '../support/clock.ts'
import { shareConnections } from '../support/connection-shares.ts'
import { httpServer } from '../support/http-server.ts'
import { nestsWithin } from '../support/json-depth.ts'
import type { Logger } from '../support/logger.ts'
import { Authorization } from './authorization.ts'
import { ApiError, invalidRequest } from './errors.ts'
import { MembersLimit } from './members-limit.ts'
import { openApiDocument } from './openapi.ts'
import { refusalOf } from './refusals.ts'
import { answerBrokenHttp, answerOddHttp, refusalOfError, sendRefusal } from './refusing.ts'
import type { Context, Route } from './route.ts'
import { ROUTES } from './routes.ts'
import { clusterParams } from './schemas.ts'
import { type Release, Shares } from './shares.ts'
import { Summaries } from './summaries.ts'
import type { Ask, ClusterName } from './wire.ts'

export interface ApiServerOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly clock: Clock
  readonly logger: Logger
  /** Whoever knows the ShardClusters. */
  readonly ask: Ask
}

/** The HTTP server of the API for bots, wherever it runs. */
export interface ApiServer {
  /** `http://host:port` */
  readonly url: string
  /** Whether there is anybody to ask; at first there is not, and every request is answered with 503. */
  leading(leading: boolean): void
  close(): Promise<void>
}

/** Opens the port. Rejects when it cannot be had. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const server = new Server(options)
  const url = await server.app.listen({ host: options.host, port: options.port })
  return { url, leading: (leading) => server.lead(leading), close: () => server.app.close() }
}

const JSON_TYPE = 'application/json; charset=utf-8'

class Server {
  readonly app: FastifyInstance
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #ask: Ask
  readonly #authorization: Authorization
  readonly #shares: Shares
  readonly #members: MembersLimit
  readonly #summaries: Summaries
  readonly #released = new WeakMap<FastifyRequest, Release>()
  #leading = false

  constructor({ clock, logger, ask }: ApiServerOptions) {
    this.#clock = clock
    this.#logger = logger
    this.#ask = ask
    this.#authorization = new Authorization({ clock, ask })
    this.#shares = new Shares(clock)
    this.#members = new MembersLimit(clock)
    this.#summaries = new Summaries(clock)
    this.app = this.#newApp()
    const document = Buffer.from(JSON.stringify(openApiDocument()))
    this.app.get('/openapi.json', async (request, reply) => {
      this.#authorization.stranger(addressOf(request))
      return reply.type(JSON_TYPE).send(document)
    })
    for (const route of ROUTES) this.#add(route)
  }

  lead(leading: boolean): void {
    this.#leading = leading
  }

  #newApp(): FastifyInstance {
    const app = httpServer({
      bodyLimit: FROM_BOTS.bodyBytes,
      forceCloseConnections: true,
      clientErrorHandler: (error, socket) => answerBrokenHttp(error, socket),
      frameworkErrors: (error, _request, reply) => void this.#refuse(error, reply),
      // Names that are too long are no ShardCluster's: they are answered like all of these.
      routerOptions: { maxParamLength: 16 * 1_024 },
    })
    shareConnections(app.server, SERVERS.connections)
    answerOddHttp(app)
    app.setErrorHandler((error, _request, reply) => this.#refuse(error, reply))
    app.setNotFoundHandler(async ({ method, url }) => {
      const path = url.split('?', 1)[0]?.slice(0, FROM_BOTS.payloadText)
      throw new ApiError('NOT_FOUND', `There is no ${method} ${path}: GET /openapi.json lists what there is.`)
    })
    const parse = app.getDefaultJsonParser('error', 'error')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
      if (nestsWithin(body, FROM_BOTS.jsonDepth)) return parse(request, body, done)
      done(tooDeep())
    })
    return app
  }

  #add(route: Route): void {
    this.app.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      // Before the body is read: whoever has no key makes no work.
      onRequest: (request, reply) => this.#letIn(route, request, reply),
      handler: (request, reply) => this.#handle(route, request, reply),
    })
  }

  /** @throws ApiError */
  async #letIn({ large }: Route, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!this.#leading) throw refusalOf({ refused: 'NOT_LEADING' })
    const cluster = clusterOf(request)
    await this.#authorization.check(request.headers.authorization, cluster, addressOf(request))
    const release = this.#shares.take(`${cluster?.namespace}/${cluster?.name}`, large)
    this.#released.set(request, release)
    reply.raw.once('close', release)
    // Whoever hung up meanwhile is not heard of again.
    if (reply.raw.closed) release()
  }

  async #handle(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const input = {
      params: parsed('path', route.params, request.params),
      query: parsed('query', route.query, request.query),
      body: route.body && parsed('body', route.body, request.body ?? {}),
    }
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort(new Error('the caller hung up')))
    const { status, body } = await route.handle(input, await this.#contextOf(request, gone.signal))
    if (route.large) this.#readInTime(reply)
    return reply.code(status).type(JSON_TYPE).send(body)
  }

  /** A large answer that nobody reads is in memory, and its ShardCluster has only one. */
  #readInTime(reply: FastifyReply): void {
    const cancel = this.#clock.after(FROM_BOTS.largeReadMs, () => reply.raw.destroy())
    reply.raw.once('close', cancel)
  }

  async #contextOf(request: FastifyRequest, signal: AbortSignal): Promise<Context> {
    const cluster = clusterOf(request) ?? { namespace: '', name: '' }
    const ask: Context['ask'] = async (type, more, signal) => {
      const answer = await this.#ask(type, cluster, more, signal)
      if (typeof answer === 'object' && 'refused' in answer) throw refusalOf(answer)
      return answer
    }
    const { bot, totalShards } = await ask('FIND', {}, signal)
    const shared = { members: this.#members, summaries: this.#summaries, clock: this.#clock }
    const charge = (pages: number) => this.#shares.charge(`${cluster.namespace}/${cluster.name}`, pages)
    return { ...cluster, ...shared, bot, totalShards, ask, charge, signal }
  }

  #refuse(error: unknown, reply: FastifyReply): FastifyReply {
    return sendRefusal(refusalOfError(error, this.#logger), reply)
  }
}

const clusterOf = ({ params }: FastifyRequest): ClusterName | undefined => clusterParams.safeParse(params).data

const addressOf = ({ raw }: FastifyRequest): string => raw.socket.remoteAddress ?? ''

const tooDeep = (): ApiError =>
  new ApiError('INVALID_REQUEST', `The body has more than ${FROM_BOTS.jsonDepth} arrays or objects in one another.`)

function parsed(where: string, schema: Route['query'] | NonNullable<Route['body']>, value: unknown): unknown {
  const result = schema.safeParse(value)
  if (!result.success) throw invalidRequest(where, result.error)
  return result.data
}
