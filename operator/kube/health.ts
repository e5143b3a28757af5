import type { Registry } from 'prom-client'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { SupervisedThread } from '../../src/support/supervised-thread.ts'

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
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** The thread ended by itself and is started again. */
  readonly onEnded?: () => void
}

export interface HealthServer {
  readonly probeUrl: string
  readonly metricsUrl: string
  close(): Promise<void>
}

/** What a probe or a scrape is answered. */
export interface HealthAnswer {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** What the thread asks of the main loop; that it answers is what /healthz is about. */
export type HealthQuestion = '/healthz' | '/readyz' | '/metrics'

/** `workerData` of the thread. */
export interface HealthThreadData {
  readonly host: string
  readonly probePort: number
  readonly metricsPort: number
}

/** What the thread says when it is up. */
export type HealthUrls = Pick<HealthServer, 'probeUrl' | 'metricsUrl'>

/** node:http and a few strings; in MB of JavaScript's memory. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 3 }

/**
 * Serves /healthz, /readyz and /metrics, in a thread of its own: whoever can reach the port, and that is nearly
 * everybody, costs the event loop of this process one short question in a while.
 */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const { host, probePort, metricsPort, clock, random, logger, onEnded = () => {} } = options
  const thread = new SupervisedThread({
    ...{ name: 'probes', script: new URL('./health-thread.ts', import.meta.url), limits: LIMITS },
    ...{ clock, random, logger, onEnded },
    // Started again, it takes the ports that it had.
    data: (urls): HealthThreadData => ({
      host,
      ...(portsOf(urls as HealthUrls | undefined) ?? { probePort, metricsPort }),
    }),
    answer: (question) => answerTo(options, question as HealthQuestion),
  })
  const urls = (await thread.start()) as HealthUrls
  return { ...urls, close: () => thread.close() }
}

function portsOf(urls: HealthUrls | undefined): Pick<HealthThreadData, 'probePort' | 'metricsPort'> | undefined {
  if (!urls) return undefined
  return { probePort: Number(new URL(urls.probeUrl).port), metricsPort: Number(new URL(urls.metricsUrl).port) }
}

async function answerTo({ live, ready, registry }: HealthOptions, question: HealthQuestion): Promise<HealthAnswer> {
  if (question === '/metrics') return { status: 200, type: registry.contentType, text: await registry.metrics() }
  return probe(question, question === '/healthz' ? live : ready)
}

/** The format of the API server's own probes: `[+]name ok`, `[-]name failed: why`. */
function probe(path: string, checks: Readonly<Record<string, Check>>): HealthAnswer {
  const results = Object.entries(checks).map(([name, check]) => ({ name, problem: check() }))
  const failed = results.some(({ problem }) => problem !== undefined)
  const lines = results.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
  )
  lines.push(`${path.slice(1)} check ${failed ? 'failed' : 'passed'}`)
  return { status: failed ? 503 : 200, type: 'text/plain; charset=utf-8', text: `${lines.join('\n')}\n` }
}
