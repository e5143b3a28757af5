import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { Authorization } from './authorization.ts'
import { ApiError, invalidRequest } from './errors.ts'
import { MembersLimit } from './members-limit.ts'
import { openApiDocument } from './openapi.ts'
import type { Context, Route } from './route.ts'
import { ROUTES } from './routes.ts'
import { clusterParams } from './schemas.ts'
import type { ApiSource, ApiTarget } from './source.ts'

export interface BotApiOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly clock: Clock
  readonly logger: Logger
}

/** The HTTP API for bots. Until it is given ShardClusters it answers 503: a standby. */
export interface BotApi {
  /** `http://host:port` */
  readonly url: string
  /** Answers for these ShardClusters. @returns what ends that. */
  serve(source: ApiSource): () => void
  close(): Promise<void>
}

/** Payloads are 4 KB at most; more is no request for this API. */
const MAX_BODY_BYTES = 64 * 1024

/** Opens the port. Rejects when it cannot be had. */
export async function startBotApi(options: BotApiOptions): Promise<BotApi> {
  const server = new BotApiServer(options)
  const url = await server.app.listen({ host: options.host, port: options.port })
  return { url, serve: (source) => server.serve(source), close: () => server.app.close() }
}

class BotApiServer {
  readonly app: FastifyInstance
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #authorization: Authorization
  readonly #members: MembersLimit
  #source: ApiSource | undefined

  constructor({ clock, logger }: BotApiOptions) {
    this.#clock = clock
    this.#logger = logger
    this.#authorization = new Authorization(clock, logger)
    this.#members = new MembersLimit(clock)
    this.app = fastify({ logger: false, bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true })
    this.app.setErrorHandler((error, _request, reply) => this.#refuse(error, reply))
    this.app.setNotFoundHandler(async ({ method, url }) => {
      const path = url.split('?', 1)[0]
      throw new ApiError('NOT_FOUND', `There is no ${method} ${path}: GET /openapi.json lists what there is.`)
    })
    const document = openApiDocument()
    this.app.get('/openapi.json', async () => document)
    for (const route of ROUTES) this.#add(route)
  }

  serve(source: ApiSource): () => void {
    this.#source = source
    return () => {
      if (this.#source === source) this.#source = undefined
    }
  }

  #add(route: Route): void {
    this.app.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      // Before the body is read: whoever has no key makes no work.
      onRequest: (request) => this.#authorize(request),
      handler: (request, reply) => this.#handle(route, request, reply),
    })
  }

  async #authorize(request: FastifyRequest): Promise<void> {
    await this.#authorization.check(request.headers.authorization, this.#targetOf(request))
  }

  /** @throws ApiError when this process does not lead. */
  #targetOf({ params }: FastifyRequest): ApiTarget | undefined {
    if (!this.#source)
      throw new ApiError(
        'NOT_LEADING',
        'This operator is a standby: try again, on a new connection, to reach the leader.',
      )
    const named = clusterParams.safeParse(params)
    return named.success ? this.#source.find(named.data.namespace, named.data.name) : undefined
  }

  async #handle(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const input = {
      params: parsed('path', route.params, request.params),
      query: parsed('query', route.query, request.query),
      body: route.body && parsed('body', route.body, request.body ?? {}),
    }
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort(new Error('the caller hung up')))
    const { status, body } = await route.handle(input, this.#contextOf(this.#targetOf(request), gone.signal))
    return reply.code(status).send(body)
  }

  #contextOf(target: ApiTarget | undefined, signal: AbortSignal): Context {
    const { bot, directory, namespace = '', name = '' } = target ?? {}
    const totalShards = directory?.totalShards
    if (!directory || bot === undefined || totalShards === undefined)
      throw new ApiError(
        'STARTING',
        'The shards of this ShardCluster are not known yet: try again, or see its conditions (kubectl describe shc).',
      )
    return { namespace, name, bot, directory, totalShards, signal, members: this.#members, clock: this.#clock }
  }

  #refuse(error: unknown, reply: FastifyReply): FastifyReply {
    const refusal = error instanceof ApiError ? error : this.#refusalOf(error as FastifyError)
    const { status, retryAfter, code, body } = refusal
    if (retryAfter !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)))
    if (code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer')
    // The next connection may find the leader.
    if (code === 'NOT_LEADING') reply.header('connection', 'close')
    return reply.code(status).send(body)
  }

  /** What fastify refuses by itself: bodies that are too large, no JSON, or of another kind. */
  #refusalOf(error: FastifyError): ApiError {
    const { statusCode = 500 } = error
    if (statusCode === 413)
      return new ApiError('PAYLOAD_TOO_LARGE', `The body has more than ${MAX_BODY_BYTES} bytes: send less at once.`)
    if (statusCode < 500)
      return new ApiError(
        'INVALID_REQUEST',
        `The request cannot be read: ${error.message}. Send JSON as application/json.`,
      )
    this.#logger.error({ err: error }, 'a request to the bot API failed')
    return new ApiError('INTERNAL', "This is a fault of the operator's; its log says more.")
  }
}

function parsed(where: string, schema: Route['query'] | NonNullable<Route['body']>, value: unknown): unknown {
  const result = schema.safeParse(value)
  if (!result.success) throw invalidRequest(where, result.error)
  return result.data
}
