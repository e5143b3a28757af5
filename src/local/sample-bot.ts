import { MAX_SHARDS, SAMPLE_BOT } from '../limits.ts'
import { authorizationMatches } from '../support/authorization.ts'
import { type Clock, systemClock } from '../support/clock.ts'
import { type HttpServerBounds, httpServer } from '../support/http-server.ts'
import { isLoopback } from '../support/loopback.ts'
import { type DeliveredEvent, DeliveryLedger, type LedgerStats } from './delivery-ledger.ts'

export interface SampleBotOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  /** The key it wants for everything but /healthz; undefined: none, which only loopback may have. */
  readonly authorization: string | undefined
}

/** A sample bot that a network reaches was given no key: anybody could send it events, and read what it has seen. */
export class KeyMissingError extends Error {
  override readonly name = 'KeyMissingError'
}

/** What a sample bot has seen: the ledger of the delivery, and what came. */
export interface SampleBotStats extends LedgerStats {
  readonly bytes: number
  readonly batches: number
  /** Lines that are no event as sharders send them. */
  readonly unread: number
  /** Event type -> how many. */
  readonly types: Readonly<Record<string, number>>
}

export interface SampleBot {
  /** `http://host:port` */
  readonly url: string
  stats(): SampleBotStats
  /** See DeliveryLedger; `POST /silences/restart` does the same. */
  restartSilences(): void
  close(): Promise<void>
}

const HEAD = /"shardId":(\d{1,6}),"payload":\{"t":"([A-Z_]{1,64})","s":(\d{1,16})(?!\d)/
const SESSION_ID = /"session_id":"([^"]{1,256})"/

/**
 * The other end of an `http` sink: takes batches of newline-delimited JSON, checks that nothing is missing, and answers
 * 204. A place to start a bot from. `bounds`: what differs from the times and limits of every server.
 * Throws a KeyMissingError, and what listen() throws when the port is taken.
 */
export async function startSampleBot(
  options: SampleBotOptions,
  clock: Clock = systemClock,
  bounds: Partial<HttpServerBounds> = {},
): Promise<SampleBot> {
  const { host, port, authorization } = options
  if (authorization === undefined && !isLoopback(host))
    throw new KeyMissingError(`${host} is reached from a network: give --authorization-file, or listen on 127.0.0.1`)
  const server = httpServer({ bodyLimit: SAMPLE_BOT.batchBytes, forceCloseConnections: true, bounds })
  const allowed = authorization === undefined ? () => true : authorizationMatches(authorization)
  const ledger = new DeliveryLedger(() => clock.now())
  const types: Record<string, number> = Object.create(null)
  const sum = { bytes: 0, batches: 0, unread: 0 }
  const stats = (): SampleBotStats => ({ ...ledger.stats(), ...sum, types: { ...types } })

  server.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  server.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url !== '/healthz' && !allowed(request.headers.authorization))
      await reply.code(401).send({ error: 'Invalid authorization key.' })
  })
  server.get('/healthz', () => 'ok')
  server.get('/stats', stats)
  server.post('/silences/restart', async (_request, reply) => {
    ledger.restartSilences()
    return reply.code(204).send()
  })
  server.post('/', async ({ body }, reply) => {
    if (typeof body !== 'string') return reply.code(415).send({ error: 'Send application/x-ndjson.' })
    sum.batches++
    sum.bytes += body.length
    for (const line of body.split('\n')) {
      if (line === '') continue
      const event = eventOf(line)
      if (event === undefined) {
        sum.unread++
        continue
      }
      const type = event.type in types || Object.keys(types).length < SAMPLE_BOT.types ? event.type : 'OTHER'
      types[type] = (types[type] ?? 0) + 1
      ledger.add(event)
    }
    return reply.code(204).send()
  })
  const url = await server.listen({ host, port })
  return { url, stats, restartSilences: () => ledger.restartSilences(), close: () => server.close() }
}

/** What the ledger looks at; undefined for a line that is no event as sharders send them. */
function eventOf(line: string): DeliveredEvent | undefined {
  const [, shard, type, sequence] = HEAD.exec(line) ?? []
  const shardId = Number(shard)
  if (type === undefined || !(shardId < MAX_SHARDS)) return undefined
  const sessionId = type === 'READY' ? SESSION_ID.exec(line)?.[1] : undefined
  return { shardId, type, sequence: Number(sequence), sessionId }
}
