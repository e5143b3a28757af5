import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { FROM_PROBES, SERVERS } from '../../src/limits.ts'
import type { Clock } from '../../src/support/clock.ts'
import { shareConnections } from '../../src/support/connection-shares.ts'
import { Gathered } from '../../src/support/gathered.ts'
import type { HealthAnswer, HealthQuestion, HealthThreadData, HealthUrls } from './health.ts'

export interface ProbeOptions {
  readonly clock: Clock
  /** Asks the main loop; never answers while that does not turn. */
  readonly ask: (question: HealthQuestion) => Promise<HealthAnswer>
}

/** An answer as it is sent: one text for all who ask at once, however slowly they read it. */
interface Sent {
  readonly status: number
  readonly type: string
  readonly text: Buffer
}

const PLAIN = 'text/plain; charset=utf-8'

/** Listens where it is told; what cannot be listened on leaves nothing open. Rejects then. */
export async function listenForProbes(data: HealthThreadData, options: ProbeOptions): Promise<HealthUrls> {
  const { host, probePort, metricsPort } = data
  const probes = ['/healthz', '/readyz'] as const
  if (metricsPort === probePort) {
    const url = await listen(newServer(options, [...probes, '/metrics']), host, probePort)
    return { probeUrl: url, metricsUrl: url }
  }
  const server = newServer(options, probes)
  const probeUrl = await listen(server, host, probePort)
  try {
    return { probeUrl, metricsUrl: await listen(newServer(options, ['/metrics']), host, metricsPort) }
  } catch (error) {
    server.close()
    throw error
  }
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host)
  await once(server, 'listening')
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

/** A server that answers these paths, and every other one with 404. It logs nothing: what it is asked is anybody's. */
export function newServer(options: ProbeOptions, paths: readonly HealthQuestion[]): Server {
  const gathered = new Map<string | undefined, Gathered<Sent>>(paths.map((path) => [path, gatheredFor(path, options)]))
  const { headersMs, keepAliveMs, checkMs } = SERVERS
  const times = { headersTimeout: Math.min(headersMs, FROM_PROBES.requestMs), requestTimeout: FROM_PROBES.requestMs }
  const server = createServer(
    { ...times, keepAliveTimeout: keepAliveMs, connectionsCheckingInterval: checkMs },
    (request, response) => void answer(request, response, gathered.get(request.url?.split('?', 1)[0])),
  )
  server.setTimeout(FROM_PROBES.silenceMs)
  shareConnections(server, FROM_PROBES.connections)
  return server
}

async function answer(request: IncomingMessage, response: ServerResponse, gathered: Gathered<Sent> | undefined) {
  const asks = request.method === 'GET' || request.method === 'HEAD'
  const { status, type, text } = !gathered
    ? plain(404, 'there is nothing here')
    : asks
      ? await gathered.ask()
      : plain(405, 'only GET and HEAD are answered')
  // A body is none of ours to read.
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers
  const closes = length !== '0' || encoding !== undefined ? { connection: 'close' } : {}
  response.writeHead(status, { 'content-type': type, 'content-length': text.length, ...closes })
  response.end(request.method === 'HEAD' ? undefined : text)
}

const plain = (status: number, text: string): Sent => ({ status, type: PLAIN, text: Buffer.from(`${text}\n`) })

function gatheredFor(path: HealthQuestion, { clock, ask }: ProbeOptions): Gathered<Sent> {
  const [paceMs, answerMs] =
    path === '/metrics'
      ? [FROM_PROBES.metricsMs, FROM_PROBES.metricsAnswerMs]
      : [FROM_PROBES.paceMs, FROM_PROBES.answerMs]
  let open: Promise<Sent> | undefined
  /** A question that is not answered yet is not put again: its answer, when it comes, is of then. */
  const asked = () => {
    open ??= ask(path)
      .then(
        ({ status, type, text }) => ({ status, type, text: Buffer.from(text) }),
        () => plain(500, 'this could not be answered; the log says why'),
      )
      .finally(() => {
        open = undefined
      })
    return open
  }
  return new Gathered(clock, paceMs, async () => {
    const late = Promise.withResolvers<Sent>()
    const problem = `[-]loop failed: the main loop has not answered in ${answerMs / 1_000} s\n${path.slice(1)} check failed`
    const cancel = clock.after(answerMs, () => late.resolve(plain(503, problem)))
    try {
      return await Promise.race([asked(), late.promise])
    } finally {
      cancel()
    }
  })
}
