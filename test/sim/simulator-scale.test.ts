import { expect, test } from 'vitest'
import { fakeToken, startSimulator } from '../../src/simulator/index.ts'
import { Client, counters, until } from '../unit/simulator/client.ts'

const SHARDS = 2000
/** Unanswered connects at once; more only fills the accept queue. */
const AT_ONCE = 100

test(`${SHARDS} shards in one process: all identified, events to each, all resumed, nothing lost`, async () => {
  const token = fakeToken()
  const simulator = await startSimulator({
    bots: [{ token, maxConcurrency: SHARDS }],
    guildsPerShard: 2,
    guildBytes: 500,
  })
  const report = reporter()
  try {
    const clients = await forAll(async (shardId) => {
      const client = new Client(`${simulator.gatewayUrl}/?v=10&encoding=json`)
      await client.ready(token, [shardId, SHARDS])
      return client
    })
    report('identified')
    expect(simulator.stats()).toMatchObject({ connectedShards: SHARDS, readies: SHARDS })
    simulator.control('burst', { count: 10 })
    await until(() => simulator.stats().eventsSent >= SHARDS * 13)
    report('20,000 events sent')
    simulator.control('drop-sockets')
    await until(() => simulator.stats().connectedShards === 0)
    const resumed = await forAll((shardId) => resume(clients[shardId] as Client, simulator.gatewayUrl, token))
    report('resumed')
    for (const [shardId, client] of resumed.entries()) {
      const seen = new Set([...counters(clients[shardId] as Client), ...counters(client)])
      expect(seen.size).toBe(12)
    }
    const { identifies, resumes, violations } = simulator.stats()
    expect({ identifies, resumes }).toEqual({ identifies: SHARDS, resumes: SHARDS })
    expect(Object.values(violations).every((count) => count === 0)).toBe(true)
    for (const client of resumed) client.ws.terminate()
  } finally {
    await simulator.close()
  }
})

async function resume(old: Client, url: string, token: string): Promise<Client> {
  await old.closed
  const ready = await old.event('READY')
  const seq = Math.max(...old.payloads.map(({ s }) => s ?? 0))
  const client = new Client(`${url}/?v=10&encoding=json`)
  await client.op(10)
  client.send(6, { token, session_id: ready.d.session_id, seq })
  await client.event('RESUMED')
  return client
}

async function forAll<T>(action: (shardId: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async () => {
    for (let shardId = next++; shardId < SHARDS; shardId = next++) results[shardId] = await action(shardId)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return results
}

/** Prints time and memory since the last step; both ends of every connection are in this process. */
function reporter(): (step: string) => void {
  let last = performance.now()
  return (step) => {
    const seconds = (performance.now() - last) / 1000
    last = performance.now()
    console.info(`${step}: ${seconds.toFixed(1)} s, RSS ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
  }
}
