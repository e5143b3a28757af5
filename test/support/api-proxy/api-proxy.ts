import { once } from 'node:events'
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, type Dispatcher } from 'undici'
import { FIRST, type Identity } from './certificates.ts'
import { OpenWatch } from './open-watch.ts'

export interface Seen {
  readonly method: string
  /** With its query. */
  readonly path: string
  /** Plural of the resource. */
  readonly resource: string
  readonly kind: 'watch' | 'list' | 'other'
  /** Of performance.now(). */
  readonly at: number
}

/**
 * What happens to a call instead of being passed on, or while it is: `answer` gives another answer, `hang` none, `slow`
 * the right one, each chunk of it so many milliseconds late.
 */
export type CallFault =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly body: string
      readonly headers?: Record<string, string>
    }
  | { readonly kind: 'hang' }
  | { readonly kind: 'slow'; readonly ms: number }

type Exchange = { readonly request: Http2ServerRequest; readonly response: Http2ServerResponse; readonly seen: Seen }

export interface ApiProxyOptions {
  readonly url: string
  /** What its certificate is signed by. */
  readonly ca: string
  /** Whom calls are made as upstream. Default: whoever makes them. */
  readonly upstreamToken?: string
}

/**
 * An HTTP proxy on loopback before an API server that speaks TLS and HTTP/2 as the server does, sees each call, and
 * fails as API servers and what stands before them do. Faults of the network belong into a FaultProxy before it.
 */
export class ApiProxy {
  readonly #options: ApiProxyOptions
  readonly #upstream: Agent
  readonly #server: Http2SecureServer
  readonly #sockets = new Set<Socket>()
  readonly #hanging = new Set<Http2ServerResponse>()
  readonly #watches = new Set<OpenWatch>()
  #faults: { readonly matches: (seen: Seen) => boolean; readonly fault: CallFault; times: number }[] = []
  /** Calls with another bearer token are refused with 401. undefined: whatever the API server says. */
  token: string | undefined
  /** Called with each call as it comes. */
  onCall: (seen: Seen) => void = () => undefined

  static async start(options: ApiProxyOptions): Promise<ApiProxy> {
    const proxy = new ApiProxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  private constructor(options: ApiProxyOptions) {
    this.#options = options
    this.#upstream = new Agent({ connect: { ca: options.ca }, headersTimeout: 0, bodyTimeout: 0, allowH2: false })
    this.#server = createSecureServer({ ...FIRST, allowHTTP1: true })
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('sessionError', () => undefined)
    this.#server.on('request', (request, response) => void this.#handle(request, response))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Watches that are open now, of one resource or all. */
  watches(resource?: string): OpenWatch[] {
    return [...this.#watches].filter((watch) => resource === undefined || watch.seen.resource === resource)
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** The next `times` calls for which `matches` holds fail. */
  inject(fault: CallFault, matches: (seen: Seen) => boolean, times = 1): void {
    this.#faults.push({ matches, fault, times })
  }

  /** New connections see another certificate. */
  present(identity: Identity): void {
    this.#server.setSecureContext(identity)
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** No faults any more; calls that hang are cut off, watches that went silent stay so. */
  heal(): void {
    this.#faults = []
    for (const response of this.#hanging) reset(response)
    this.#hanging.clear()
  }

  async close(): Promise<void> {
    this.heal()
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
    await this.#upstream.destroy()
  }

  async #handle(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const seen = seenOf(request)
    const exchange = { request, response, seen }
    // A client that goes away is nothing to this proxy.
    for (const end of [request, response]) end.on('error', () => undefined)
    this.onCall(seen)
    try {
      const fault = this.#faultFor(seen)
      if (fault?.kind === 'hang') this.#hanging.add(response)
      else if (fault?.kind === 'answer') response.writeHead(fault.status, fault.headers).end(fault.body)
      else if (this.#refused(request)) response.writeHead(401).end(UNAUTHORIZED)
      else await this.#pass(exchange, fault?.ms ?? 0)
    } catch {
      // The API server is away: a load balancer before it would reset the call, too.
      reset(response)
    }
  }

  #faultFor(seen: Seen): CallFault | undefined {
    const rule = this.#faults.find(({ matches, times }) => times > 0 && matches(seen))
    if (rule) rule.times -= 1
    return rule?.fault
  }

  #refused({ headers }: Http2ServerRequest): boolean {
    return this.token !== undefined && headers.authorization !== `Bearer ${this.token}`
  }

  async #pass({ request, response, seen }: Exchange, lateMs: number): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const body = request.method === 'GET' ? null : await text(request)
    const answer = await this.#upstream.request({
      origin: this.#options.url,
      path: seen.path,
      method: seen.method as Dispatcher.HttpMethod,
      headers: this.#headersOf(request),
      body,
      signal: gone.signal,
    })
    const headers = ['content-type', 'retry-after'].map((name) => [name, answer.headers[name]] as const)
    response.writeHead(answer.statusCode, Object.fromEntries(headers.filter(([, value]) => value !== undefined)))
    if (seen.kind === 'watch') return this.#follow(seen, response, answer.body)
    for await (const chunk of answer.body) {
      if (lateMs > 0) await delay(lateMs)
      response.write(chunk)
    }
    response.end()
  }

  async #follow(seen: Seen, response: Http2ServerResponse, body: AsyncIterable<Uint8Array>): Promise<void> {
    const watch = new OpenWatch(seen, response)
    this.#watches.add(watch)
    response.once('close', () => this.#watches.delete(watch))
    for await (const chunk of body) watch.pass(chunk)
    watch.end()
  }

  #headersOf({ headers }: Http2ServerRequest): Record<string, string> {
    const { upstreamToken } = this.#options
    const kept: Record<string, string> = {}
    for (const name of ['authorization', 'content-type', 'accept', 'user-agent']) {
      const value = headers[name]
      if (typeof value === 'string') kept[name] = value
    }
    return upstreamToken ? { ...kept, authorization: `Bearer ${upstreamToken}` } : kept
  }
}

/** Of one call over HTTP/2, of its connection over HTTP/1.1. */
function reset(response: Http2ServerResponse): void {
  if (response.req.httpVersionMajor === 2 && 'close' in response.stream) response.stream.close(2)
  else response.destroy()
}

const UNAUTHORIZED = JSON.stringify({
  kind: 'Status',
  status: 'Failure',
  code: 401,
  reason: 'Unauthorized',
  message: 'Unauthorized',
})

function seenOf({ method, url }: Http2ServerRequest): Seen {
  const { pathname, searchParams } = new URL(url, 'https://api')
  // /api/v1/pods, /apis/apps/v1/namespaces/ns/statefulsets/name
  const [resource = '', name] = pathname
    .replace(/^\/(api|apis\/[^/]+)\/[^/]+\/(namespaces\/[^/]+\/(?=.))?/, '')
    .split('/')
  const kind = searchParams.has('watch') ? 'watch' : method === 'GET' && name === undefined ? 'list' : 'other'
  return { method, path: url, resource, kind, at: performance.now() }
}
