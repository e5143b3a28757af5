import { request } from 'undici'
import { Child } from './child.ts'
import { until } from './until.ts'

const FILE = new URL('../children/sink.ts', import.meta.url)

/** What the sink has been given and has confirmed. */
export interface SinkCounts {
  readonly events: number
  readonly requests: number
  readonly bytes: number
}

/** The other end of everybody's events, in a process of its own. */
export class SinkProcess {
  readonly url: string
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
    this.url = (child.said as { url: string }).url
  }

  static async start(): Promise<SinkProcess> {
    return new SinkProcess(await Child.start(FILE))
  }

  async counts(): Promise<SinkCounts> {
    const { body } = await request(`${this.url}/counts`)
    return (await body.json()) as SinkCounts
  }

  /** Resolves when nothing has arrived for `quietMs`. */
  async settled(quietMs = 500): Promise<SinkCounts> {
    let last = await this.counts()
    let since = performance.now()
    await until('the sink coming to rest', 120_000, async () => {
      const now = await this.counts()
      if (now.events !== last.events) since = performance.now()
      last = now
      return performance.now() - since >= quietMs
    })
    return last
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}
