import fastify, { type FastifyInstance } from 'fastify'
import { authorizationMatches } from '../support/authorization.ts'
import { type Clock, systemClock } from '../support/clock.ts'
import { DeliveryLedger, type LedgerStats } from './delivery-ledger.ts'

export interface SampleBotOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  /** The key it wants; undefined: none. */
  readonly authorization: string | undefined
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

/** A batch is at most a few hundred KB; a single READY of a large shard may be some MB. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024

const HEAD = /"shardId":(\d+),"payload":\{"t":"([A-Z_]+)","s":(\d+)/
const SESSION_ID = /"session_id":"([^"]+)"/

/**
 * The other end of an `http` sink: takes batches of newline-delimited JSON, checks that nothing is missing, and answers
 * 204. A place to start a bot from.
 */
export async function startSampleBot(options: SampleBotOptions, clock: Clock = systemClock): Promise<SampleBot> {
  const { host, port, authorization } = options
  const server: FastifyInstance = fastify({ bodyLimit: MAX_BATCH_BYTES, forceCloseConnections: true })
  const allowed = authorization === undefined ? () => true : authorizationMatches(authorization)
  const ledger = new DeliveryLedger(() => clock.now())
  const types: Record<string, number> = {}
  const sum = { bytes: 0, batches: 0, unread: 0 }
  const stats = (): SampleBotStats => ({ ...ledger.stats(), ...sum, types: { ...types } })

  server.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  server.addHook('onRequest', async (request, reply) => {
    if (request.method === 'POST' && !allowed(request.headers.authorization))
      await reply.code(401).send({ error: 'Invalid authorization key.' })
  })
  server.get('/healthz', () => 'ok')
  server.get('/stats', stats)
  server.post('/silences/restart', async (_request, reply) => {
    ledger.restartSilences()
    return reply.code(204).send()
  })
  server.post('/', async (request, reply) => {
    const body = request.body as string
    sum.batches++
    sum.bytes += body.length
    for (const line of body.split('\n')) {
      if (line === '') continue
      const [, shard, type, sequence] = HEAD.exec(line) ?? []
      if (shard === undefined || type === undefined) {
        sum.unread++
        continue
      }
      types[type] = (types[type] ?? 0) + 1
      const sessionId = type === 'READY' ? SESSION_ID.exec(line)?.[1] : undefined
      ledger.add({ shardId: Number(shard), type, sequence: Number(sequence), sessionId })
    }
    return reply.code(204).send()
  })
  const url = await server.listen({ host, port })
  return { url, stats, restartSilences: () => ledger.restartSilences(), close: () => server.close() }
}
