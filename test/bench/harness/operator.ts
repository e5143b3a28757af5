import { request } from 'undici'
import { freePorts } from '../../support/apiserver/ports.ts'
import { Child } from './child.ts'
import { until } from './until.ts'
import { cpuSeconds, memoryOf } from './usage.ts'

const FILE = new URL('../children/operator.ts', import.meta.url)
const READY_WITHIN_MS = 60_000

/** What the operator has done since it started, and what that took. */
export interface OperatorUse {
  readonly reconciles: number
  readonly reconcileErrors: number
  readonly cpuSeconds: number
  readonly rssBytes: number
}

/** The operator in a process of its own, as a pod would run it. */
export class OperatorProcess {
  readonly #child: Child
  readonly #url: string

  private constructor(child: Child, url: string) {
    this.#child = child
    this.#url = url
  }

  /** Resolves when its caches are filled. */
  static async start(kubeconfig: string): Promise<OperatorProcess> {
    const [port = 0] = await freePorts(1)
    const env = {
      KUBECONFIG: kubeconfig,
      POD_NAME: 'operator',
      SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:bench',
      // Everything is on this machine: its REST proxies as well.
      SHARDCLUSTER_REST_HOSTS: '127.0.0.0/8',
      SHARDCLUSTER_HTTP_PORT: String(port),
      SHARDCLUSTER_API_PORT: '0',
      SHARDCLUSTER_LOG_LEVEL: 'warn',
    }
    const operator = new OperatorProcess(await Child.start(FILE, { env }), `http://127.0.0.1:${port}`)
    await until('the operator ready', READY_WITHIN_MS, () => operator.#ready())
    return operator
  }

  async use(): Promise<OperatorUse> {
    const { body } = await request(`${this.#url}/metrics`)
    const lines = (await body.text()).split('\n')
    const { pid } = this.#child
    return {
      reconciles: sum(lines, 'controller_runtime_reconcile_total'),
      reconcileErrors: sum(lines, 'controller_runtime_reconcile_errors_total'),
      cpuSeconds: cpuSeconds(pid),
      rssBytes: memoryOf(pid).rss,
    }
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }

  #ready(): Promise<boolean> {
    return request(`${this.#url}/readyz`).then(
      async ({ statusCode, body }) => {
        await body.dump()
        return statusCode === 200
      },
      () => false,
    )
  }
}

const sampleOf = (line: string): number => Number(line.slice(line.lastIndexOf(' ') + 1))

function sum(lines: readonly string[], metric: string): number {
  return lines.filter((line) => line.startsWith(`${metric}{`)).reduce((total, line) => total + sampleOf(line), 0)
}
