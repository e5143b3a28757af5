import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createServer as createWorkerServer, type WorkerServer } from '../../../sharder/server.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { until } from '../../support/sharder.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { certificates, renewed, SERVERNAME } from '../../support/worker-certificates.ts'

const headers = { authorization: 'the key' }
const first = await certificates()
const second = await renewed(first)
const stranger = await certificates()

let served: { cert: string; key: string }
let refused: number
let clock: VirtualClock
let server: WorkerServer
let streams: (NodeJS.WritableStream & { write(text: string): boolean })[]
const present = ({ serving: { certificate: cert, privateKey: key } }: typeof first) => {
  served = { cert, key }
}

beforeEach(async () => {
  present(first)
  refused = 0
  clock = new VirtualClock()
  streams = []
  server = await serving()
})
afterEach(() => server.close())

async function serving(): Promise<WorkerServer> {
  const one = createWorkerServer({
    clock,
    logger: createLogger('test', 'silent'),
    key: async () => 'the key',
    handle: async () => ({ ok: true, body: { released: [], sessions: [] } }),
    snapshot: () => '{}',
    watch: async (reader) => {
      streams.push(reader)
      reader.write('first\n')
      await once(reader, 'close')
    },
    healthy: async () => true,
    metrics: async () => ({ contentType: 'text/plain', text: 'a 1' }),
    tls: {
      clock,
      certificate: { read: async () => served, refused: () => void refused++ },
    },
  })
  await one.listen({ host: '127.0.0.1', port: 0 })
  return one
}

const trusted = { ca: first.authority.certificate, servername: SERVERNAME, minVersion: 'TLSv1.3' as const }
const at = () => ({ host: '127.0.0.1', port: server.port })

async function ask(path: string, over: 'http' | 'https', more: object = {}): Promise<{ status: number; body: string }> {
  const send = over === 'https' ? httpsRequest : httpRequest
  const asked = send({ ...at(), path, headers, agent: false, ...(over === 'https' && trusted), ...more }).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  let body = ''
  for await (const part of answer) body += String(part)
  return { status: answer.statusCode ?? 0, body }
}

/** The certificate that a new connection is shown. */
async function shown(): Promise<string> {
  const socket = connectTls({ ...at(), ...trusted })
  await once(socket, 'secureConnect')
  const pem = socket.getPeerX509Certificate()?.toString() ?? ''
  socket.destroy()
  return pem
}

const closed = async (socket: Socket | TLSSocket) => {
  socket.on('error', () => {}).resume()
  if (!socket.closed) await once(socket, 'close')
}
const open = async (): Promise<Socket> => {
  const socket = connect(at())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

describe('one port', () => {
  it('answers over plain HTTP and over TLS, many times on one connection of each', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (const _ of [1, 2, 3]) expect(await ask('/readyz', 'http', { agent })).toEqual({ status: 200, body: 'ok' })
    agent.destroy()
    for (const path of ['/readyz', '/metrics', '/shards']) {
      expect((await ask(path, 'https')).status).toBe(200)
      expect((await ask(path, 'http')).status).toBe(200)
    }
  })

  it('wants the key over TLS as it does without', async () => {
    for (const over of ['http', 'https'] as const)
      expect((await ask('/shards', over, { headers: { authorization: 'another' } })).status).toBe(401)
  })

  it('is not believed by who trusts another authority, or expects another name', async () => {
    const socket = connectTls({ ...at(), ...trusted, ca: stranger.authority.certificate })
    expect(await once(socket, 'error')).toMatchObject([{ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }])
    const other = connectTls({ ...at(), ...trusted, servername: 'other-sharders.prod.svc' })
    expect(await once(other, 'error')).toMatchObject([{ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }])
  })

  it('speaks no version of TLS before 1.3', async () => {
    const socket = connectTls({ ...at(), ...trusted, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    expect(await once(socket, 'error')).toMatchObject([{ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' }])
  })

  it('serves another certificate as soon as it is there, and cuts no stream that is open', async () => {
    const asked = httpsRequest({ ...at(), path: '/shards?watch=true', headers, agent: false, ...trusted }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.setEncoding('utf8')
    expect(await once(answer, 'data')).toEqual(['first\n'])
    expect(await shown()).toBe(first.serving.certificate)
    present(second)
    expect(await shown()).toBe(second.serving.certificate)
    streams[0]?.write('second\n')
    expect(await once(answer, 'data')).toEqual(['second\n'])
    asked.destroy()
  })

  it('keeps the certificate while what it reads cannot be used, and looks again', async () => {
    expect(await shown()).toBe(first.serving.certificate)
    // A kubelet changed one file and not yet the other.
    served = { cert: second.serving.certificate, key: first.serving.privateKey }
    expect(await shown()).toBe(first.serving.certificate)
    expect(refused).toBe(1)
    present(second)
    expect(await shown()).toBe(second.serving.certificate)
  })

  it('closes a connection that says nothing', async () => {
    const socket = await open()
    await until(() => clock.pending === 1)
    await clock.advance(14_999)
    expect(socket.closed).toBe(false)
    await clock.advance(1)
    await closed(socket)
    expect((await ask('/readyz', 'https')).status).toBe(200)
  })

  it('leaves the limits of requests to who has said the first byte', async () => {
    const socket = await open()
    await until(() => clock.pending === 1)
    socket.write('G')
    await until(() => clock.pending === 0)
    await clock.advance(16_000)
    socket.write('ET /readyz HTTP/1.1\r\nhost: worker\r\n\r\n')
    expect(String((await once(socket, 'data'))[0])).toContain('200 OK')
    socket.destroy()
  })

  it.each([
    ['one byte', Buffer.of(0x16)],
    ['the head of a record', Buffer.from([0x16, 3, 1, 2, 0])],
  ])('closes a handshake of which only %s came, be it that there is a byte more now and then', async (_, begun) => {
    const socket = await open()
    await until(() => clock.pending === 1)
    socket.write(begun)
    for (const second of [5, 10]) {
      await clock.advance(5_000)
      socket.write(Buffer.of(1 + second))
      expect((await ask('/readyz', 'http')).status).toBe(200)
    }
    expect(socket.closed).toBe(false)
    await clock.advance(5_000)
    await closed(socket)
    expect((await ask('/readyz', 'https')).status).toBe(200)
  })

  it('keeps a connection that has shaken hands', async () => {
    const socket = connectTls({ ...at(), ...trusted })
    await once(socket, 'secureConnect')
    await until(() => clock.pending === 0)
    await clock.advance(60_000)
    socket.write('GET /readyz HTTP/1.1\r\nhost: worker\r\n\r\n')
    expect(String((await once(socket, 'data'))[0])).toContain('200 OK')
    socket.destroy()
  })

  it.each([
    ['noise', Buffer.from([0xff, 0, 1, 2])],
    ['a record of TLS that holds noise', Buffer.from([0x16, 3, 1, 0, 4, 9, 9, 9, 9])],
    ['a record of TLS that is longer than any', Buffer.from([0x16, 3, 1, 0xff, 0xff, 1, 0xff])],
    ['a hello of SSL 2', Buffer.from([0x80, 0x2e, 1, 0, 2])],
    ['an alert', Buffer.from([0x15, 3, 1, 0, 2, 2, 40])],
  ])('closes a connection that begins with %s, and goes on', async (_, bytes) => {
    const socket = await open()
    const ended = closed(socket)
    socket.write(bytes)
    await ended
    expect((await ask('/readyz', 'https')).status).toBe(200)
    expect((await ask('/readyz', 'http')).status).toBe(200)
  })

  it('takes a hello that comes byte by byte', async () => {
    const raw = await open()
    const hello: Buffer[] = []
    const slow = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        hello.push(chunk)
        const send = (index: number): void => {
          if (index === chunk.length) done()
          else raw.write(chunk.subarray(index, index + 1), () => setImmediate(send, index + 1))
        }
        send(0)
      },
    })
    raw.on('data', (part) => slow.push(part))
    const socket = connectTls({ ...trusted, socket: slow })
    await once(socket, 'secureConnect')
    expect(hello[0]?.[0]).toBe(0x16)
    socket.destroy()
    raw.destroy()
  })

  it('serves others while hundreds say nothing, and cuts them when it closes', async () => {
    const idle = await Promise.all(Array.from({ length: 300 }, () => open()))
    const begun = await open()
    begun.write(Buffer.from([0x16, 3, 1]))
    expect((await ask('/readyz', 'https')).status).toBe(200)
    expect((await ask('/readyz', 'http')).status).toBe(200)
    const gone = Promise.all([...idle, begun].map(closed))
    await server.close()
    await gone
  })

  it('ends with its connections, those over TLS too', async () => {
    const socket = connectTls({ ...at(), ...trusted })
    await once(socket, 'secureConnect')
    const gone = closed(socket)
    await server.close()
    await gone
  })
})
