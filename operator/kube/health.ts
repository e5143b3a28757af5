import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Registry } from 'prom-client'

/** undefined: fine. Otherwise what is wrong, in a sentence that may be shown to anybody who can reach the port. */
export type Check = () => string | undefined

export interface HealthOptions {
  readonly host: string
  /** /healthz and /readyz. 0: any free port. */
  readonly probePort: number
  /** /metrics; the same number as `probePort` (also 0) puts it on the same server. */
  readonly metricsPort: number
  /** Whether this process must be restarted. Never let it depend on the API server or Discord: a restart heals neither. */
  readonly live: Readonly<Record<string, Check>>
  /** Whether this process can do its work: caches synced. */
  readonly ready: Readonly<Record<string, Check>>
  readonly registry: Registry
}

export interface HealthServer {
  readonly probeUrl: string
  readonly metricsUrl: string
  close(): Promise<void>
}

/** Serves /healthz, /readyz and /metrics. */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const { host, probePort, metricsPort } = options
  const probes = fastify({ logger: false })
  addProbe(probes, '/healthz', options.live)
  addProbe(probes, '/readyz', options.ready)
  const metrics = metricsPort === probePort ? probes : fastify({ logger: false })
  addMetrics(metrics, options.registry)
  const servers = new Set([probes, metrics])
  const close = async () => {
    await Promise.all([...servers].map((server) => server.close()))
  }
  try {
    const probeUrl = await probes.listen({ host, port: probePort })
    const metricsUrl = metrics === probes ? probeUrl : await metrics.listen({ host, port: metricsPort })
    return { probeUrl, metricsUrl, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The format of the API server's own probes: `[+]name ok`, `[-]name failed: why`. */
function addProbe(server: FastifyInstance, path: string, checks: Readonly<Record<string, Check>>): void {
  server.get(path, (_request, reply): FastifyReply => {
    const results = Object.entries(checks).map(([name, check]) => ({ name, problem: check() }))
    const failed = results.some(({ problem }) => problem !== undefined)
    const lines = results.map(({ name, problem }) =>
      problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
    )
    lines.push(`${path.slice(1)} check ${failed ? 'failed' : 'passed'}`)
    return reply
      .code(failed ? 503 : 200)
      .type('text/plain; charset=utf-8')
      .send(`${lines.join('\n')}\n`)
  })
}

function addMetrics(server: FastifyInstance, registry: Registry): void {
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
}
