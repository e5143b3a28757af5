import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ConnectionLimits, Connections } from '../../../sharder/connections.ts'
import { SERVERS } from '../../../src/limits.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../simulator/tls.ts'

let server: Server
let connections: Connections
let clients: Socket[]

/** Answers `GET /` at once, a body when it is there, and `GET /stream` with a line and no end. */
async function start(limits: ConnectionLimits): Promise<void> {
  server = createServer({ connectionsCheckingInterval: 10 }, (request, response) => {
    connections.seen(request)
    if (request.headers.authorization === 'right') connections.trusted(request)
    if (request.url === '/stream') response.write('first line\n')
    else request.resume().on('end', () => response.end('ok'))
  })
  connections = new Connections(server, limits)
  await once(server.listen(0, '127.0.0.1'), 'listening')
}

beforeEach(() => {
  clients = []
})
afterEach(() => {
  for (const client of clients) client.destroy()
  server.close()
  server.closeAllConnections()
})

async function open(): Promise<Socket> {
  const accepted = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  clients.push(client)
  await accepted
  return client
}

/** Sends and waits for the first piece of the answer. */
async function say(client: Socket, text: string): Promise<string> {
  client.write(text)
  const [piece] = (await once(client, 'data')) as [Buffer]
  return piece.toString()
}
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nhost: worker\r\n${more}\r\n`
const withKey = get('/', 'authorization: right\r\n')

describe('more strangers than are let in', () => {
  const limits = { connections: 3, headersMs: SERVERS.headersMs, requestMs: SERVERS.requestMs }

  it('cost the one that is idle longest its connection, one for each', async () => {
    await start(limits)
    const [a, b, c] = [await open(), await open(), await open()]
    expect(await say(a, get('/'))).toContain('200 OK')
    await Promise.all([once(b, 'close'), open()])
    await Promise.all([once(c, 'close'), open()])
    expect(await say(a, get('/'))).toContain('200 OK')
  })

  it('cost nobody a connection on which the right key came, and keep nobody out who has it', async () => {
    await start(limits)
    const managers = []
    for (let i = 0; i < 5; i++) {
      const manager = await open()
      expect(await say(manager, withKey)).toContain('200 OK')
      managers.push(manager)
    }
    for (let i = 0; i < 20; i++) await open()
    for (const manager of managers) expect(await say(manager, get('/'))).toContain('200 OK')
    expect(await say(await open(), withKey)).toContain('200 OK')
    expect(clients.filter(({ destroyed, readableEnded }) => !destroyed && !readableEnded)).toHaveLength(5 + 3 + 1 - 1)
  })

  it('are told from managers under TLS too', async () => {
    const secure = createSecureServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (request, response) => {
      connections.seen(request)
      if (request.headers.authorization === 'right') connections.trusted(request)
      response.end('ok')
    })
    server = secure
    connections = new Connections(secure, limits)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = secure.address() as AddressInfo
    const manager = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    clients.push(manager)
    expect(await say(manager, withKey)).toContain('200 OK')
    const silent = await open()
    await Promise.all([once(silent, 'close'), open().then(open).then(open)])
    expect(await say(manager, get('/'))).toContain('200 OK')
  })

  it('are not counted any more when they left', async () => {
    await start(limits)
    const first = await open()
    for (let i = 0; i < 10; i++) {
      const next = await open()
      next.end()
      await once(next, 'close')
    }
    expect(await say(first, get('/'))).toContain('200 OK')
  })
})

describe('half a request', () => {
  it.each([
    ['without the end of its headers', 'POST / HTTP/1.1\r\nhost: worker\r\n'],
    ['without the end of its body', 'POST / HTTP/1.1\r\nhost: worker\r\ncontent-length: 1000\r\n\r\n{'],
  ])('%s ends with its time; an answer that has no end does not', async (_what, half) => {
    await start({ connections: 10, headersMs: 50, requestMs: 50 })
    const stream = await open()
    expect(await say(stream, get('/stream'))).toContain('first line')
    const slow = await open()
    slow.resume().write(half)
    await once(slow, 'close')
    expect([stream.destroyed, stream.readableEnded]).toEqual([false, false])
  })
})

it('has the limits of every server', async () => {
  server = createServer()
  connections = new Connections(server)
  expect(server).toMatchObject({ headersTimeout: SERVERS.headersMs, requestTimeout: SERVERS.requestMs })
})
