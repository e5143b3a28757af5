import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import { COMMAND_TYPES, type Command, commandSchema } from '../src/protocol/commands.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'
import { MAX_REQUEST_BYTES } from '../src/protocol/limits.ts'
import { authorizationMatches } from '../src/support/authorization.ts'
import type { Logger } from '../src/support/logger.ts'
import type { Reply } from './worker.ts'

export interface ServerOptions {
  readonly logger: Logger
  /** The key that every route but the probes wants, as it is now. */
  readonly key: () => Promise<string>
  readonly handle: (command: Command, signal: AbortSignal) => Promise<Reply>
  /** The snapshot as JSON text. */
  readonly snapshot: () => string
  /** Newline-delimited state records, until the reader leaves. */
  readonly watch: () => NodeJS.ReadableStream
  /** Whether every thread answers. */
  readonly healthy: () => Promise<boolean>
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics'])

/** The seed guide's identify endpoint: commands by `POST`, the state of the shards, probes. */
export function createServer(options: ServerOptions): FastifyInstance {
  const app = Fastify({ bodyLimit: MAX_REQUEST_BYTES, forceCloseConnections: true, exposeHeadRoutes: false })
  acceptAnyJson(app)
  requireKey(app, options.key)
  app.setErrorHandler((error, _request, reply) => send(reply, failureOf(error, options.logger)))
  app.setNotFoundHandler((_request, reply) => send(reply, failure('UNKNOWN_TYPE', 'Unknown request received.')))
  app.get('/healthz', async (_request, reply) =>
    (await options.healthy()) ? 'ok' : reply.code(503).send('a shard thread does not answer'),
  )
  app.get('/readyz', () => 'ok')
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await options.metrics()
    return reply.type(contentType).send(text)
  })
  app.get<{ Querystring: { watch?: string } }>('/shards', (request, reply) => {
    const { watch = 'false' } = request.query
    return watch === 'false' || watch === '0'
      ? reply.type('application/json').send(options.snapshot())
      : reply.type('application/x-ndjson').send(options.watch())
  })
  // The guide listens on every path.
  app.post('/*', async (request, reply) => {
    const command = parseCommand(request.body)
    if (!command.ok) return send(reply, command.failure)
    const answer = await options.handle(command.command, hangUp(reply))
    return answer.ok ? reply.send(answer.body) : send(reply, answer.failure)
  })
  return app
}

/** The guide sends JSON without saying so: fetch calls it text/plain. */
function acceptAnyJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: MAX_REQUEST_BYTES }, (_request, body, done) =>
    done(null, body),
  )
}

function requireKey(app: FastifyInstance, key: ServerOptions['key']): void {
  let known = ''
  let matches = (_given: string | undefined) => false
  app.addHook('onRequest', async (request, reply) => {
    if (PROBES.has(pathOf(request))) return
    const expected = await key()
    if (expected !== known) {
      known = expected
      matches = authorizationMatches(expected)
    }
    if (matches(request.headers.authorization)) return
    const message = 'Invalid authorization key.'
    await send(reply, failure('UNAUTHORIZED', message, { error: message }))
  })
}

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? url

/** Reads a command, or says what is wrong with it. */
export function parseCommand(
  body: unknown,
): { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly failure: Failure } {
  const wrong = (message: string) => ({ ok: false, failure: failure('BAD_REQUEST', message) }) as const
  if (typeof body !== 'string' || body === '') return wrong('the body is empty; send a command as JSON.')
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch (error) {
    return wrong(`the body is not JSON: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return wrong('the body is not a JSON object.')
  const { type } = json as { type?: unknown }
  if (typeof type !== 'string') return wrong('type: must be the name of a command.')
  if (!(COMMAND_TYPES as readonly string[]).includes(type))
    return { ok: false, failure: failure('UNKNOWN_TYPE', 'Unknown request received.') }
  const parsed = commandSchema.safeParse(json)
  return parsed.success ? { ok: true, command: parsed.data } : wrong(sentenceOf(type, parsed.error))
}

function sentenceOf(type: string, { issues }: z.ZodError): string {
  const [issue] = issues
  const where = issue && issue.path.length > 0 ? z.core.toDotPath(issue.path) : 'the body'
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return `${type}: ${where}: ${issue?.message ?? 'is not valid'}${more}`
}

/** Aborts when the client is gone before it was answered. */
function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}

function failureOf(error: unknown, logger: Logger): Failure {
  const {
    code,
    statusCode,
    message = String(error),
  } = error as { code?: string; statusCode?: number; message?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return failure('TOO_LARGE', `the body is larger than ${MAX_REQUEST_BYTES} bytes.`)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return failure('BAD_REQUEST', message)
  logger.error({ err: error }, 'a request failed')
  return failure('INTERNAL', message)
}

function send(reply: FastifyReply, body: Failure): FastifyReply {
  return reply.code(body.status).send(body)
}
