import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import { SERVERS } from '../limits.ts'

/** What callers of a server may use of it, in milliseconds and pieces. */
export interface HttpServerBounds {
  /** Connections open at once; one more is closed at once. */
  readonly connections: number
  /** From a request's first byte to the end of its headers; 408 and the connection's end after it. */
  readonly headersMs: number
  /** From a request's first byte to the end of its body; the same. How long the answer takes does not matter. */
  readonly requestMs: number
  /** A connection between two requests. */
  readonly keepAliveMs: number
  /** No byte in either direction, while a request waits for its answer or its caller does not read it. */
  readonly silenceMs: number
  /** What a refused caller still sends is read and thrown away for so long, so that it sees its answer. */
  readonly lingerMs: number
  /** How often headersMs and requestMs are looked at: a request may take so much longer. */
  readonly checkMs: number
}

/** Fastify's options, without those that the bounds set. */
export interface HttpServerOptions
  extends Omit<FastifyServerOptions, 'requestTimeout' | 'connectionTimeout' | 'keepAliveTimeout' | 'http' | 'https'> {
  /** PEM texts: the server then speaks HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
  /** What differs from SERVERS. */
  readonly bounds?: Partial<HttpServerBounds>
}

/**
 * A Fastify without a logger whose connections all end: its own defaults wait for a body for ever, and take any number
 * of connections. An answer that leaves a body unread (401, 404, 405, 413, 503 ...) closes its connection.
 *
 * Listening on `localhost` makes Fastify open a second server, for ::1, which has the times but not the limit of
 * connections.
 */
export function httpServer({ tls, bounds, ...options }: HttpServerOptions = {}): FastifyInstance {
  const { connections, headersMs, requestMs, keepAliveMs, silenceMs, lingerMs, checkMs } = { ...SERVERS, ...bounds }
  // Fastify sets requestTimeout by itself, but Node holds headersTimeout against it when the server is made.
  const node = { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: checkMs }
  const app: FastifyInstance = Fastify({
    logger: false,
    ...options,
    requestTimeout: requestMs,
    keepAliveTimeout: keepAliveMs,
    connectionTimeout: silenceMs,
    // Fastify's types have one of the two, and know another instance for each: what is used here is the same in both.
    ...((tls === undefined ? { http: node } : { https: { ...node, ...tls } }) as { http: typeof node }),
  })
  app.server.maxConnections = connections
  closeAfterUnreadBodies(app, lingerMs)
  return app
}

/**
 * Whoever sends a large body is cut off when it is refused, but not at once: bytes that arrive at a closed socket make
 * its kernel answer with RST, and the caller then sees a broken connection in place of the answer that tells why.
 */
function closeAfterUnreadBodies(app: FastifyInstance, lingerMs: number): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (!leavesBody(request)) return payload
    reply.header('connection', 'close')
    if (request.method === 'HEAD' || !(typeof payload === 'string' || Buffer.isBuffer(payload))) return payload
    reply.header('content-length', Buffer.byteLength(payload))
    return Readable.from(lingering(payload, request.raw, lingerMs))
  })
}

function leavesBody({ raw }: FastifyRequest): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = raw.headers
  return !raw.complete && (encoding !== undefined || length !== '0')
}

async function* lingering(payload: string | Buffer, request: IncomingMessage, lingerMs: number) {
  yield payload
  request.resume()
  // Rejects when the caller hangs up, or when the time is over: both are the end.
  await finished(request, { writable: false, signal: AbortSignal.timeout(lingerMs) }).catch(() => undefined)
}
