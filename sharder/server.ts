import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Writable } from 'node:stream'
import { FROM_MANAGER } from '../src/limits.ts'
import type { Command } from '../src/protocol/commands.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'
import { authorizationMatches } from '../src/support/authorization.ts'
import type { Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { parseCommand } from './command-body.ts'
import { type ConnectionLimits, Connections } from './connections.ts'
import { keptAnswer } from './kept-answer.ts'
import { type OnePortOptions, takeTls } from './one-port.ts'
import type { Reply } from './worker.ts'

export interface ServerOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** The key that every route but the probes wants, as it is now. */
  readonly key: () => Promise<string>
  readonly handle: (command: Command, signal: AbortSignal) => Promise<Reply>
  /** The snapshot as JSON text. */
  readonly snapshot: () => string
  /** Writes newline-delimited state records to the reader, until it leaves. */
  readonly watch: (reader: Writable) => Promise<void>
  /** Whether every thread answers. */
  readonly healthy: () => Promise<boolean>
  /** It serves TLS as well. */
  readonly tls?: Omit<OnePortOptions, 'logger'>
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  /** Default: SERVERS of src/limits.ts. */
  readonly limits?: ConnectionLimits
}

/** The HTTP server of a worker. */
export interface WorkerServer {
  /** @returns `http://host:port`. Rejects when the port is taken. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>
  readonly port: number
  /** Cuts every connection. */
  close(): Promise<void>
}

/**
 * The seed guide's identify endpoint: commands by `POST` on any path, the state of the shards, probes.
 * On node:http alone: four routes need no router, and a web framework costs every pod 12 MB (measured).
 */
export function createServer(options: ServerOptions): WorkerServer {
  const authorized = keyCheck(options.key)
  const routes = { ...options, ...keptProbes(options) }
  const server = createHttpServer((request, response) => {
    connections.seen(request)
    answer(request, response, routes, async (given) => {
      const known = await authorized(given)
      if (known) connections.trusted(request)
      return known
    }).catch((error: unknown) => {
      // Whoever sent half a request and left knows it.
      if (request.destroyed && !request.complete) return
      options.logger.error({ err: error }, 'a request failed')
      if (response.headersSent) response.destroy()
      else refuse(response, failure('INTERNAL', error instanceof Error ? error.message : String(error)))
    })
  })
  const tls = options.tls && takeTls(server, { ...options.tls, logger: options.logger })
  // After it: a connection counts from its first moment, before it has said whether it speaks TLS.
  const connections = new Connections(server, options.limits)
  return {
    listen: (address) => listen(server, address),
    get port() {
      return (server.address() as AddressInfo).port
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        tls?.cut()
      }),
  }
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve(`http://${host}:${(server.address() as AddressInfo).port}`)
    })
  })
}

/** Strangers may ask the probes as often as they like: each is worked out once at a time, and once a second. */
function keptProbes({ clock, healthy, metrics }: ServerOptions): Pick<ServerOptions, 'healthy' | 'metrics'> {
  const { probeKeptMs } = FROM_MANAGER
  return { healthy: keptAnswer(clock, probeKeptMs, healthy), metrics: keptAnswer(clock, probeKeptMs, metrics) }
}

type Authorized = (given: string | undefined) => Promise<boolean>

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ServerOptions,
  authorized: Authorized,
): Promise<void> {
  const { method = 'GET' } = request
  const url = URL.parse(request.url ?? '/', 'http://worker')
  if (url === null) return refuse(response, failure('UNKNOWN_TYPE', 'Unknown request received.'), request)
  const { pathname, searchParams } = url
  if (method === 'GET' && (await probe(pathname, response, options))) return
  if (!(await authorized(request.headers.authorization))) {
    const message = 'Invalid authorization key.'
    return refuse(response, failure('UNAUTHORIZED', message, { error: message }), request)
  }
  if (method === 'POST') return command(request, response, options)
  if (method !== 'GET' || pathname !== '/shards')
    return refuse(response, failure('UNKNOWN_TYPE', 'Unknown request received.'), request)
  if (['false', '0'].includes(searchParams.get('watch') ?? 'false'))
    return send(response, 200, 'application/json; charset=utf-8', options.snapshot())
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  await options.watch(response)
}

/** Probes and metrics need no key: kubelet and Prometheus have none. @returns whether it was one. */
async function probe(path: string, response: ServerResponse, options: ServerOptions): Promise<boolean> {
  if (path === '/readyz') send(response, 200, 'text/plain', 'ok')
  else if (path === '/healthz') {
    const healthy = await options.healthy()
    send(response, healthy ? 200 : 503, 'text/plain', healthy ? 'ok' : 'a shard thread does not answer')
  } else if (path === '/metrics') {
    const { contentType, text } = await options.metrics()
    send(response, 200, contentType, text)
  } else return false
  return true
}

async function command(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
  const body = await bodyOf(request)
  if (body === undefined)
    return refuse(response, failure('TOO_LARGE', `the body is larger than ${FROM_MANAGER.bodyBytes} bytes.`), request)
  const parsed = parseCommand(body)
  if (!parsed.ok) return refuse(response, parsed.failure)
  const reply = await options.handle(parsed.command, hangUp(response))
  if (!reply.ok) return refuse(response, reply.failure)
  send(response, 200, 'application/json; charset=utf-8', JSON.stringify(reply.body))
}

/** The guide sends JSON without saying so, so the content type is not looked at. undefined: it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += part.length
    if (size > FROM_MANAGER.bodyBytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** Compares in constant time; the hash of the key is made once, not for each request. */
function keyCheck(key: ServerOptions['key']): Authorized {
  let known: string | undefined
  let matches = (_given: string | undefined) => false
  return async (given) => {
    const expected = await key()
    if (expected !== known) {
      known = expected
      matches = authorizationMatches(expected)
    }
    return matches(given)
  }
}

/** Aborts when the client is gone before it was answered. */
function hangUp(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  return gone.signal
}

/**
 * `unread`: a request whose body nobody read to its end. Its connection ends with it: the rest of the body would have to
 * be read before the next request. Some of it is read nonetheless, because a client that is cut off while it writes
 * does not get to read why.
 */
function refuse(response: ServerResponse, body: Failure, unread?: IncomingMessage): void {
  const text = JSON.stringify(body)
  const type = 'application/json; charset=utf-8'
  if (unread === undefined || unread.complete) {
    send(response, body.status, type, text)
    return
  }
  response.writeHead(body.status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  })
  response.write(text)
  let discarded = 0
  unread.on('data', (part: Buffer) => {
    discarded += part.length
    if (discarded > FROM_MANAGER.discardedBytes) response.end()
  })
  unread.once('end', () => response.end())
  unread.resume()
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}
