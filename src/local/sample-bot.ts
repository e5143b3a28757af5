import fastify, { type FastifyInstance } from 'fastify'
import { authorizationMatches } from '../support/authorization.ts'

export interface SampleBotOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  /** The key it wants; undefined: none. */
  readonly authorization: string | undefined
}

/** What a sample bot has seen. */
export interface SampleBotStats {
  readonly events: number
  readonly bytes: number
  readonly batches: number
  /** Event type -> how many. */
  readonly types: Readonly<Record<string, number>>
  /** Shard id -> the last sequence. */
  readonly sequences: Readonly<Record<string, number>>
}

export interface SampleBot {
  /** `http://host:port` */
  readonly url: string
  stats(): SampleBotStats
  close(): Promise<void>
}

/** A batch is at most a few hundred KB; a single READY of a large shard may be some MB. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024

const HEAD = /"shardId":(\d+),"payload":\{"t":"([A-Z_]+)","s":(\d+)/

/** The other end of an `http` sink: takes batches of newline-delimited JSON, counts, and answers 204. A place to start a bot from. */
export async function startSampleBot({ host, port, authorization }: SampleBotOptions): Promise<SampleBot> {
  const server: FastifyInstance = fastify({ bodyLimit: MAX_BATCH_BYTES, forceCloseConnections: true })
  const allowed = authorization === undefined ? () => true : authorizationMatches(authorization)
  const types: Record<string, number> = {}
  const sequences: Record<string, number> = {}
  const sum = { events: 0, bytes: 0, batches: 0 }
  const stats = (): SampleBotStats => ({ ...sum, types: { ...types }, sequences: { ...sequences } })

  server.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  server.get('/healthz', () => 'ok')
  server.get('/stats', stats)
  server.post('/', async (request, reply) => {
    if (!allowed(request.headers.authorization)) return reply.code(401).send({ error: 'Invalid authorization key.' })
    const body = request.body as string
    sum.batches++
    sum.bytes += body.length
    for (const line of body.split('\n')) {
      if (line === '') continue
      sum.events++
      const [, shard, type, sequence] = HEAD.exec(line) ?? []
      if (shard === undefined || type === undefined) continue
      types[type] = (types[type] ?? 0) + 1
      sequences[shard] = Number(sequence)
    }
    return reply.code(204).send()
  })
  const url = await server.listen({ host, port })
  return { url, stats, close: () => server.close() }
}
