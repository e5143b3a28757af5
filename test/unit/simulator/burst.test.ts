import { expect, test } from 'vitest'
import { fakeToken, startSimulator } from '../../../src/simulator/index.ts'
import { Client, counters, until } from './client.ts'

const EVENTS = 6_000

/** Compression takes its time: bytes leave while others wait, and the log must not run away from what was sent. */
test.each(['zlib-stream', 'zstd-stream'])('a burst is never faster than %s and a short log allow', async (compress) => {
  const token = fakeToken()
  const simulator = await startSimulator({ bots: [{ token }], guildsPerShard: 0, replayBuffer: 64 })
  try {
    const client = new Client(`${simulator.gatewayUrl}/?v=10&encoding=json&compress=${compress}`)
    await client.ready(token, [0, 1])
    simulator.control('burst', { count: EVENTS })
    await until(() => counters(client).length === EVENTS || client.ws.readyState !== client.ws.OPEN)
    expect(simulator.stats()).toMatchObject({ burstsLeft: 0, closes: {} })
    expect(simulator.stats().violations.slowConsumer).toBe(0)
    expect(counters(client)).toEqual(Array.from({ length: EVENTS }, (_, i) => i + 1))
    client.ws.terminate()
  } finally {
    await simulator.close()
  }
})
