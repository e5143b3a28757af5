import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dueCertificate } from '../../../operator/trust/due.ts'
import { issuing } from '../../../operator/trust/issue.ts'
import { httpWorker } from '../../../src/manager/http-worker.ts'
import { SecureWorkerAgent } from '../../../src/manager/worker-agent.ts'
import { freePorts } from '../../support/apiserver/ports.ts'
import { until } from '../../support/sharder.ts'
import { certificates, SERVERNAME, trusting } from '../../support/worker-certificates.ts'

const ours = await certificates()
const next = await certificates()
const KEY = 'the-key-of-the-workers'
const HEARTBEAT = '{"type":"DELTA","shards":[],"gone":[]}\n'

let agent: SecureWorkerAgent
let untrusted: number
let servers: Server[]
/** Everything that any server was told. */
let heard: string[]
beforeEach(() => {
  agent = new SecureWorkerAgent()
  untrusted = 0
  servers = []
  heard = []
})
afterEach(async () => {
  await agent.destroy()
  for (const server of servers) {
    if ('closeAllConnections' in server) (server.closeAllConnections as () => void)()
    server.close()
  }
})

async function listening(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
const answers: RequestListener = (request, response) => {
  heard.push(`${request.method} ${request.headers.authorization}`)
  request.resume()
  response.setHeader('content-type', 'application/json')
  response.end('{"released":[],"sessions":[]}')
}
const tlsServer = ({ serving: { certificate: cert, privateKey: key } } = ours, listener = answers) =>
  listening(createHttpsServer({ cert, key }, listener))

const trust = (...trusted: (typeof ours)[]) =>
  agent.trust({ ...trusting(...trusted), onUntrusted: () => void untrusted++ })
const worker = (port: number, scheme = 'https') =>
  httpWorker({ url: `${scheme}://127.0.0.1:${port}`, keys: () => [KEY], dispatcher: agent })
const release = (port: number, scheme?: string) =>
  worker(port, scheme).release({ epoch: 1, shardIds: [0] }, AbortSignal.timeout(10_000))
const done = { ok: true, value: { released: [], sessions: [] } }
const unreachable = (why: string) => ({
  ok: false,
  failure: { code: 'UNKNOWN', message: `the worker could not be reached (${why})` },
})

describe('the agent of a ShardCluster', () => {
  it('sends commands to a worker with a certificate of its authority, whatever the address', async () => {
    trust(ours)
    const port = await tlsServer()
    expect(await release(port)).toEqual(done)
    expect(heard).toEqual([`POST ${KEY}`])
    expect(untrusted).toBe(0)
  })

  const strangers = [
    ['of another authority', async () => next, "the worker's certificate is not of this ShardCluster's authority"],
    [
      'that is the authority itself',
      async () => ({ ...ours, serving: next.authority }),
      "the worker's certificate is not of this ShardCluster's authority",
    ],
    [
      'of the same authority, for another name',
      async () => ({
        ...ours,
        serving: await dueCertificate(
          undefined,
          { authority: ours.authority, servername: 'other-sharders.prod.svc', now: Date.now() },
          issuing,
        ),
      }),
      "the worker's certificate is of another ShardCluster",
    ],
    [
      'that has expired',
      async () => ({ ...ours, serving: await issuing.serving({ ...life(-2, -1), servername: SERVERNAME, ...ours }) }),
      "the worker's certificate has expired",
    ],
    [
      'that is of the future',
      async () => ({ ...ours, serving: await issuing.serving({ ...life(1, 2), servername: SERVERNAME, ...ours }) }),
      "the worker's certificate is not valid yet",
    ],
  ] as const
  const life = (from: number, until: number) => ({
    from: Date.now() + from * 86_400_000,
    until: Date.now() + until * 86_400_000,
  })

  it.each(strangers)('gives neither key nor command to whoever has a certificate %s', async (_, made, why) => {
    trust(ours)
    const port = await tlsServer(await made())
    expect(await release(port)).toEqual(unreachable(why))
    await expect(worker(port).watch(() => {}, AbortSignal.timeout(10_000))).rejects.toThrow(why)
    expect(heard).toEqual([])
    expect(untrusted).toBe(2)
  })

  it('is not talked into plain text by who speaks no TLS', async () => {
    trust(ours)
    const plain = await listening(createHttpServer(answers))
    const why = 'the worker does not speak TLS as its pod says that it does'
    expect(await release(plain)).toEqual(unreachable(why))
    let said = ''
    const redirecting = createTcpServer((socket) => {
      socket.on('data', (part) => {
        said += part.toString('latin1')
        socket.end('HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1/\r\n\r\n')
      })
    })
    expect(await release(await listening(redirecting))).toEqual(unreachable(why))
    expect(said).not.toBe('')
    for (const secret of [KEY, 'RELEASE_SHARDS', 'POST']) expect(said).not.toContain(secret)
    expect([heard, untrusted]).toEqual([[], 0])
  })

  it('sends nothing over plain HTTP, and nothing before it knows whom to trust', async () => {
    const port = await tlsServer()
    expect(await release(port)).toMatchObject({ ok: false })
    trust(ours)
    const plain = await listening(createHttpServer(answers))
    expect(await release(plain, 'http')).toEqual(unreachable('the worker is to be spoken to over TLS'))
    expect(heard).toEqual([])
  })

  it('says what the network says where it is the network', async () => {
    trust(ours)
    const [free = 0] = await freePorts(1)
    expect(await release(free)).toEqual(unreachable('ECONNREFUSED'))
    expect(untrusted).toBe(0)
  })

  it('takes over other authorities without cutting a stream, and holds new connections against them alone', async () => {
    trust(ours)
    let stream: ServerResponse | undefined
    const port = await tlsServer(ours, (request, response) => {
      if (request.method === 'POST') return answers(request, response)
      stream = response
      response.writeHead(200).write(HEARTBEAT)
    })
    let records = 0
    const stop = new AbortController()
    const watching = worker(port).watch(() => records++, stop.signal)
    await until(() => records === 1)
    // Both, while an authority is renewed; then the new one alone, of which this worker has no certificate.
    trust(next, ours)
    expect(await release(port)).toEqual(done)
    trust(next)
    expect(await release(port)).toEqual(unreachable("the worker's certificate is not of this ShardCluster's authority"))
    expect(await release(await tlsServer(next))).toEqual(done)
    stream?.write(HEARTBEAT)
    await until(() => records === 2)
    stream?.end()
    await watching
  })

  it('keeps its connections while the same is trusted', async () => {
    let connections = 0
    const { serving } = ours
    const server = createHttpsServer({ cert: serving.certificate, key: serving.privateKey }, answers)
    server.on('secureConnection', () => connections++)
    const port = await listening(server)
    for (const _ of [1, 2, 3, 4, 5, 6]) {
      trust(ours)
      expect(await release(port)).toEqual(done)
    }
    // One that has just answered may still be busy when the next request comes.
    expect(connections).toBeLessThanOrEqual(2)
  })
})
