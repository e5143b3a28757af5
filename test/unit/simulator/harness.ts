import { afterEach } from 'vitest'
import { fakeToken, type Simulator, type SimulatorOptions, startSimulator } from '../../../src/simulator/index.ts'
import type { Clock } from '../../../src/support/clock.ts'
import { Client } from './client.ts'

export const TOKEN = fakeToken()
type BotInput = NonNullable<SimulatorOptions['bots']>[number]

/** Simulators and clients that are gone after each test. */
export function simulators() {
  const running: Simulator[] = []
  const clients: Client[] = []
  afterEach(async () => {
    for (const client of clients.splice(0)) client.ws.terminate()
    await Promise.all(running.splice(0).map((simulator) => simulator.close()))
  })
  return {
    async start(options: SimulatorOptions = {}, bot: BotInput = {}, clock?: Clock): Promise<Simulator> {
      const simulator = await startSimulator({ ...options, bots: options.bots ?? [{ token: TOKEN, ...bot }] }, clock)
      running.push(simulator)
      return simulator
    },
    connect(simulator: Simulator, query = 'v=10&encoding=json', options: { ca?: string } = {}): Client {
      const client = new Client(`${simulator.gatewayUrl}/?${query}`, options)
      clients.push(client)
      return client
    },
  }
}
