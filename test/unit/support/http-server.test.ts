import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { type HttpServerOptions, httpServer } from '../../../src/support/http-server.ts'

const apps: FastifyInstance[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(apps.splice(0).map((app) => app.close()))
})

/** A server with a key on everything, as those of this project are built. */
async function serve(options: HttpServerOptions = {}): Promise<number> {
  const app = httpServer({ forceCloseConnections: true, ...options })
  apps.push(app)
  app.addHook('onRequest', async ({ headers }, reply) => {
    if (headers.authorization !== 'key') await reply.code(401).send({ error: 'Invalid authorization key.' })
  })
  app.post('/', ({ body }) => ({ body }))
  app.get('/large', () => Buffer.alloc(64 * 2 ** 20))
  app.get('/slow', async () => {
    await new Promise((resolve) => setTimeout(resolve, 400))
    return 'done'
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as { port: number }).port
}

/** One raw connection: what it was sent until now, and a promise of its end. */
function dial(port: number) {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  const seen = { text: '' }
  socket.on('data', (chunk) => {
    seen.text += chunk.toString('latin1')
  })
  // A reset is an end too.
  socket.on('error', () => undefined)
  return { socket, seen, ended: new Promise<void>((resolve) => socket.once('close', () => resolve())) }
}

const post = (authorization: string, length: number) =>
  `POST / HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`

/** A byte now and then, for as long as the server listens. */
function drip(socket: Socket): void {
  const timer = setInterval(() => socket.write('x'), 20)
  socket.once('close', () => clearInterval(timer))
}

const SHORT = { requestMs: 300, headersMs: 200, checkMs: 50 }

test('a body that comes a byte at a time is ended with 408, with the key', async () => {
  const { socket, seen, ended } = dial(await serve({ bounds: SHORT }))
  socket.write(post('key', 1_000_000))
  drip(socket)
  await ended
  expect(seen.text).toMatch(/^HTTP\/1\.1 408 /)
})

test('a body that never comes is ended as well', async () => {
  const { socket, ended } = dial(await serve({ bounds: SHORT }))
  socket.write(post('key', 1_000_000))
  await ended
})

test('a body that comes a byte at a time after a refusal is ended by the refusal', async () => {
  // The time for a request is not what ends it: that would be half a minute here.
  const { socket, seen, ended } = dial(await serve({ bounds: { lingerMs: 200 } }))
  socket.write(post('wrong', 1_000_000))
  drip(socket)
  await ended
  expect(seen.text).toMatch(/^HTTP\/1\.1 401 /)
  expect(seen.text.toLowerCase()).toContain('\r\nconnection: close\r\n')
  expect(seen.text).toMatch(/\r\n\r\n\{"error":"Invalid authorization key\."\}$/)
})

test('an answer that leaves no body unread keeps the connection', async () => {
  const { socket, seen } = dial(await serve())
  for (const [request, status] of [
    ['GET / HTTP/1.1\r\nhost: x\r\n\r\n', 401],
    ['GET /nowhere HTTP/1.1\r\nhost: x\r\nauthorization: key\r\n\r\n', 404],
    [`${post('key', 2)}{}`, 200],
  ] as const) {
    seen.text = ''
    socket.write(request)
    await once(socket, 'data')
    expect(seen.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(seen.text.toLowerCase()).toContain('\r\nconnection: keep-alive\r\n')
  }
})

test('who sends 50 MB that nobody wants sees the refusal, not a broken connection', async () => {
  const port = await serve()
  for (const [authorization, type, status] of [
    ['wrong', 'application/json', 401],
    ['key', 'application/json', 413],
    ['key', 'image/png', 415],
  ] as const) {
    const headers = { authorization, 'content-type': type }
    const body = Buffer.alloc(50 * 2 ** 20, 'x')
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })
    expect([answer.status, answer.headers.get('connection')]).toEqual([status, 'close'])
    await answer.text()
  }
})

test('headers that come a byte at a time are ended with 408', async () => {
  const { socket, seen, ended } = dial(await serve({ bounds: SHORT }))
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nx: ')
  drip(socket)
  await ended
  expect(seen.text).toMatch(/^HTTP\/1\.1 408 /)
})

test('one connection beyond the limit is closed at once, and a place that becomes free is taken', async () => {
  const port = await serve({ bounds: { connections: 2 } })
  const first = dial(port)
  const second = dial(port)
  await Promise.all([once(first.socket, 'connect'), once(second.socket, 'connect')])
  const third = dial(port)
  await third.ended
  expect(third.seen.text).toBe('')
  first.socket.destroy()
  second.socket.write(`${post('key', 2)}{}`)
  await once(second.socket, 'data')
  const fourth = dial(port)
  fourth.socket.write(`${post('key', 2)}{}`)
  await once(fourth.socket, 'data')
  expect(fourth.seen.text).toMatch(/^HTTP\/1\.1 200 /)
})

test('a caller that does not read its answer is cut off', async () => {
  const port = await serve({ bounds: { silenceMs: 300 } })
  const cut = new Promise<void>((resolve) => {
    apps[0]?.server.once('connection', (end: Socket) => end.once('close', () => resolve()))
  })
  const { socket } = dial(port)
  socket.pause()
  socket.write('GET /large HTTP/1.1\r\nhost: x\r\nauthorization: key\r\n\r\n')
  await cut
  expect(socket.bytesRead).toBeLessThan(64 * 2 ** 20)
})

test('an answer may take longer than a request', async () => {
  const { socket, seen } = dial(await serve({ bounds: { requestMs: 100, headersMs: 100, checkMs: 20 } }))
  socket.write('GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: key\r\n\r\n')
  await once(socket, 'data')
  expect(seen.text).toMatch(/^HTTP\/1\.1 200 /)
})

test('a connection between two requests is closed after its time', async () => {
  const { socket, seen, ended } = dial(await serve({ bounds: { keepAliveMs: 100 } }))
  socket.write(`${post('key', 2)}{}`)
  await ended
  expect(seen.text).toMatch(/^HTTP\/1\.1 200 /)
})
