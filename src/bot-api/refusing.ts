import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { FROM_BOTS } from '../limits.ts'
import type { Logger } from '../support/logger.ts'
import { ApiError, type ApiErrorCode } from './errors.ts'

/** What the HTTP parser and Fastify refuse by themselves, by their codes: what is no HTTP is INVALID_REQUEST. */
const BROKEN: Readonly<Record<string, readonly [ApiErrorCode, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['REQUEST_TIMEOUT', 'The request did not come in time: send it at once.'],
  HPE_HEADER_OVERFLOW: ['HEADERS_TOO_LARGE', 'The headers have more than 16 KB: send fewer.'],
}

/** What Fastify says of a request, in our words: its own hold parts of the request. */
const FASTIFY: Readonly<Record<string, string>> = {
  FST_ERR_BAD_URL: 'The path is not percent-encoded as it should be.',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'The body is no JSON: send it as application/json.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty: send JSON as application/json.',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body has another length than content-length says.',
}
const UNREADABLE = 'The request cannot be read. Send JSON as application/json.'

/** Any error as a refusal; what is a fault of ours is logged. */
export function refusalOfError(error: unknown, logger: Logger): ApiError {
  if (error instanceof ApiError) return error
  const { statusCode = 500, code = '' } = error as { readonly statusCode?: number; readonly code?: string }
  if (statusCode === 413)
    return new ApiError('PAYLOAD_TOO_LARGE', `The body has more than ${FROM_BOTS.bodyBytes} bytes: send less at once.`)
  if (statusCode < 500) return new ApiError('INVALID_REQUEST', FASTIFY[code] ?? UNREADABLE)
  if (code === 'ECONNRESET') return new ApiError('INVALID_REQUEST', UNREADABLE)
  logger.error({ err: error }, 'a request to the bot API failed')
  return new ApiError('INTERNAL', "This is a fault of the operator's; its log says more.")
}

export function sendRefusal({ status, retryAfter, code, body }: ApiError, reply: FastifyReply): FastifyReply {
  if (retryAfter !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfter)))
  if (code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer')
  // The next connection may find the leader.
  if (code === 'NOT_LEADING') reply.header('connection', 'close')
  return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body))
}

/** What is no HTTP, answered as all refusals are; then the connection ends. */
export function answerBrokenHttp(error: { readonly code?: string | undefined }, socket: Socket): void {
  // Something was answered already, and its rest is not ours; or nobody is there.
  if (!socket.writable || error.code === 'ECONNRESET' || isAnswering(socket)) {
    socket.destroy()
    return
  }
  const [code, message] = BROKEN[error.code ?? ''] ?? ['INVALID_REQUEST', 'This is no HTTP that can be read.']
  socket.end(responseOf(new ApiError(code, message)))
  // Whoever keeps its side open is not waited for.
  socket.once('finish', () => socket.destroy())
}

/** Node keeps there the answer that is being sent. */
const isAnswering = (socket: Socket): boolean =>
  (socket as { readonly _httpMessage?: { readonly headersSent: boolean } })._httpMessage?.headersSent === true

/** What Node answers by itself and without a body: no Host header, `Expect` of anything but 100-continue. */
export function answerOddHttp({ server }: FastifyInstance): void {
  // The path alone says what is asked for.
  Object.assign(server, { requireHostHeader: false })
  server.on('checkExpectation', (_request, response) => {
    const { status, body } = new ApiError('INVALID_REQUEST', 'The Expect header asks for what this API does not do.')
    const text = JSON.stringify(body)
    const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }
    response.writeHead(status, { ...headers, connection: 'close' }).end(text)
  })
  for (const event of ['connect', 'upgrade'] as const)
    server.on(event, (_request, socket: Socket) => answerBrokenHttp({}, socket))
}

function responseOf({ status, body }: ApiError): string {
  const text = JSON.stringify(body)
  const head = [
    `HTTP/1.1 ${status} Refused`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${text}`
}
