import { Agent, request } from 'undici'
import type { ControlCommand, ControlInput } from '../../../src/simulator/control.ts'
import type { SimulatorOptions } from '../../../src/simulator/options.ts'
import type { SimulatorStats } from '../../../src/simulator/stats.ts'
import { Child, MEASURING_RUNTIME } from './child.ts'

const FILE = new URL('../children/simulator.ts', import.meta.url)

/** The simulated Discord in a process of its own, and its control API. */
export class SimulatorProcess {
  readonly url: string
  readonly gatewayUrl: string
  readonly pid: number
  readonly #child: Child
  // Control speaks TLS too when the gateway does; its certificate is made up, and nothing secret is said.
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false }, headersTimeout: 60_000 })

  private constructor(child: Child) {
    this.#child = child
    this.pid = child.pid
    const { url, gatewayUrl } = child.said as { url: string; gatewayUrl: string }
    this.url = url
    this.gatewayUrl = gatewayUrl
  }

  static async start(options: SimulatorOptions): Promise<SimulatorProcess> {
    const env = { NODE_OPTIONS: MEASURING_RUNTIME }
    return new SimulatorProcess(await Child.start(FILE, { args: [JSON.stringify(options)], env }))
  }

  /** `detail`: with a row per shard. */
  async stats({ detail = false } = {}): Promise<SimulatorStats> {
    const path = `/control/stats${detail ? '?detail=1' : ''}`
    const { body } = await request(`${this.url}${path}`, { dispatcher: this.#agent })
    return (await body.json()) as SimulatorStats
  }

  /** @throws Error with the simulator's answer when it refuses. */
  async control<K extends ControlCommand>(command: K, input: ControlInput<K>): Promise<void> {
    const { statusCode, body } = await request(`${this.url}/control/${command}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(input),
      dispatcher: this.#agent,
    })
    const text = await body.text()
    if (statusCode !== 200) throw new Error(`the simulator refused ${command}: ${text}`)
  }

  collectGarbage(): Promise<void> {
    return this.#child.collectGarbage()
  }

  async stop(): Promise<void> {
    await this.#agent.destroy()
    await this.#child.stop()
  }
}

/** Broken rules of Discord, all kinds together. */
export const violationsOf = ({ violations }: SimulatorStats): number =>
  Object.values(violations).reduce((sum, count) => sum + count, 0)
