import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { type WebSocket, WebSocketServer } from 'ws'
import { type ClientOptions, WebSocketClient } from '../../../../../sharder/shard/websocket/client.ts'
import { systemClock } from '../../../../../src/support/clock.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../../simulator/tls.ts'

setDefaultCACertificates([...getCACertificates(), TEST_CERTIFICATE])

/** A client and all that it was told. */
export class Watched {
  readonly client: WebSocketClient
  readonly messages: string[] = []
  readonly opened = Promise.withResolvers<void>()
  readonly closed = Promise.withResolvers<{ readonly code: number; readonly reason: string }>()
  closes = 0
  onMessage = () => {}

  constructor(url: string, options: Partial<ClientOptions> = {}) {
    this.client = new WebSocketClient({
      url,
      clock: systemClock,
      handshakeTimeoutMs: 5_000,
      maxBytes: 1_000_000,
      onOpen: () => this.opened.resolve(),
      onMessage: (bytes, from, to) => {
        this.messages.push(bytes.toString('utf8', from, to))
        this.onMessage()
      },
      onClosed: (code, reason) => {
        this.closes++
        this.closed.resolve({ code, reason })
      },
      ...options,
    })
  }
}

/** The ws package's server, which says what it makes of each client. */
export async function realServer(secure: boolean, connected: (ws: WebSocket, socket: Socket) => void) {
  const http = secure ? createHttpsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }) : createHttpServer()
  const server = new WebSocketServer({ server: http, perMessageDeflate: false })
  server.on('connection', (ws, request) => connected(ws, request.socket))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  return {
    url: (host = '127.0.0.1') => `${secure ? 'wss' : 'ws'}://${host}:${port}/path?v=10`,
    async [Symbol.asyncDispose]() {
      for (const ws of server.clients) ws.terminate()
      http.closeAllConnections()
      http.close()
      await once(http, 'close')
    },
  }
}

/** What the right answer to a request for an upgrade says. */
export function accepting(request: string): string {
  const key = /^sec-websocket-key: (.+)\r$/im.exec(request)?.[1] ?? ''
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

export const answer = (request: string, more = ''): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accepting(request)}\r\n${more}\r\n`

/** A server that does what it likes: `asked` gets the socket and the request it came with. */
export async function rawServer(asked: (socket: Socket, request: string) => void) {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (request) => asked(socket, request.toString('latin1')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
