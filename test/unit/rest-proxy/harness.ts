import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach } from 'vitest'
import { type RestProxy, type RestProxyOptions, startRestProxy } from '../../../src/rest-proxy/index.ts'
import type { HttpServerBounds } from '../../../src/support/http-server.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { TOKEN } from '../simulator/harness.ts'

export const KEY = 'a key for callers'

/** What a Discord of a test has seen of one request. */
interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** REST proxies, and the Discords behind them, that are gone after each test. */
export function restProxies() {
  const proxies: RestProxy[] = []
  const upstreams: Server[] = []
  const logged: string[] = []
  afterEach(async () => {
    for (const server of upstreams.splice(0)) {
      server.closeAllConnections()
      server.close()
    }
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()))
  })

  async function proxyTo(
    discordUrl: string,
    options: Partial<RestProxyOptions> = {},
    bounds: Partial<HttpServerBounds> = {},
  ): Promise<RestProxy> {
    const log = createLogger('rest-proxy', 'trace', { write: (line) => logged.push(line) })
    const given = { token: TOKEN, authorization: KEY, discordUrl, timeoutMs: 15_000, ...options }
    const proxy = await startRestProxy(given, log, bounds)
    proxies.push(proxy)
    return proxy
  }

  /** A Discord for one test, with every answer in its hands. */
  async function upstream(answer: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void) {
    const seen: Seen[] = []
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      // A proxy that gives up ends its request, too.
      for await (const chunk of request) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
      answer(request, response, body)
    })
    upstreams.push(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return { seen, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api` }
  }

  return { proxyTo, upstream, logged }
}

export function call(proxy: RestProxy, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(proxy.url + path, { ...init, headers: { authorization: KEY, ...init.headers } })
}
