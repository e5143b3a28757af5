import { request } from 'undici'
import { Child, MEASURING_RUNTIME } from './child.ts'
import type { SinkAddress } from './sink-address.ts'
import { until } from './until.ts'

const HTTP = new URL('../children/sink.ts', import.meta.url)
const CONSUMER = new URL('../children/consumer.ts', import.meta.url)

/** Node gives each 64 KB that arrives memory of its own: with a young generation of 16 MB that is a mark-sweep every 300 ms. */
const RUNTIME = { NODE_OPTIONS: `${MEASURING_RUNTIME} --max-semi-space-size=1` }

/** What the sink has been given and has confirmed. */
export interface SinkCounts {
  readonly events: number
  readonly requests: number
  readonly bytes: number
}

/** From the simulator's send to the confirmation, in milliseconds, of so many events. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly timed: number
}

/** The other end of everybody's events, in a process of its own. */
export class SinkProcess {
  /** Of an http sink: where events go. */
  readonly url: string
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
    this.url = (child.said as { url: string }).url
  }

  /** An http sink, or a consumer of the broker at `broker`. */
  static async start(broker?: SinkAddress): Promise<SinkProcess> {
    if (broker === undefined) return new SinkProcess(await Child.start(HTTP, { env: RUNTIME }))
    return new SinkProcess(await Child.start(CONSUMER, { args: [JSON.stringify(broker)], env: RUNTIME }))
  }

  async counts(): Promise<SinkCounts> {
    const { body } = await request(`${this.url}/counts`)
    return (await body.json()) as SinkCounts
  }

  /** Measures latencies from now on. */
  async startTiming(): Promise<void> {
    const { body } = await request(`${this.url}/timing`, { method: 'POST' })
    await body.dump()
  }

  async endTiming(): Promise<Latency> {
    const { body } = await request(`${this.url}/timing`, { method: 'DELETE' })
    const { p50, p99, timed } = (await body.json()) as { p50: number | null; p99: number | null; timed: number }
    return { p50: p50 ?? Number.NaN, p99: p99 ?? Number.NaN, timed }
  }

  /** Resolves when nothing has arrived for `quietMs`. */
  async settled(quietMs = 250): Promise<SinkCounts> {
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

  collectGarbage(): Promise<void> {
    return this.#child.collectGarbage()
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}
