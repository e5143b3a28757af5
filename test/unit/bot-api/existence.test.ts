import { describe, expect, it } from 'vitest'
import { FROM_STRANGERS } from '../../../src/limits.ts'
import { KEY, worlds } from './world.ts'

const { start } = worlds()
const { refusalMs } = FROM_STRANGERS

describe('whether a ShardCluster exists', () => {
  /** When a wrong key is refused, on the clock, and what was asked of the main thread for it. */
  async function refusedAfter(path: string, readMs: number) {
    const world = await start()
    world.holdsRefusals = true
    world.readMs = readMs
    const arrived = world.asked.length
    let status: number | undefined
    const answered = world.raw('GET', path, undefined, 'Bearer wrong').then((answer) => {
      status = answer.status
    })
    await expect.poll(() => world.asked.length).toBe(arrived + 1)
    while (status === undefined) {
      await world.clock.advance(1)
      // An answer that was released reaches its caller in real time.
      if (world.clock.now() % refusalMs === 0) await new Promise((resolve) => setTimeout(resolve, 100))
      if (world.clock.now() > 10 * refusalMs) throw new Error('was never answered')
    }
    await answered
    return { status, at: world.clock.now(), asked: world.asked.slice(arrived).map(({ type }) => type) }
  }

  it('shows neither in the time of a refusal nor in what is done for it', async () => {
    const unknown = await refusedAfter('/v1/shardclusters/ns/other', 0)
    expect(unknown).toEqual({ status: 401, at: refusalMs, asked: ['KEY'] })
    for (const readMs of [0, 1, 40, refusalMs - 1])
      expect(await refusedAfter('/v1/shardclusters/ns/bot', readMs)).toEqual(unknown)
  })

  it('shows no more when the Secret comes late: the answer waits for the next beat', async () => {
    expect(await refusedAfter('/v1/shardclusters/ns/bot', refusalMs + 3)).toMatchObject({ at: 2 * refusalMs })
  })

  it('is asked for no faster by somebody without a key than others are let ask', async () => {
    const world = await start()
    const all = Array.from({ length: FROM_STRANGERS.requestsAtOnce + 50 }, (_, i) =>
      world.raw('GET', `/v1/shardclusters/ns/${i % 2 ? 'bot' : 'other'}`, undefined, 'Bearer wrong'),
    )
    const statuses = (await Promise.all(all)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(FROM_STRANGERS.requestsAtOnce)
    expect(statuses.filter((status) => status === 429)).toHaveLength(50)
    expect(world.reads).toBe(1)
    const refused = await world.raw('GET', '/openapi.json', undefined, null)
    expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED', global: true } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    await world.pass(1_000)
    expect((await world.raw('GET', '/openapi.json', undefined, null)).status).toBe(200)
  })

  it('does not matter to a bot whose key is known, whoever shares its address', async () => {
    const world = await start()
    expect((await world.call('GET', '')).status).toBe(200)
    await Promise.all(Array.from({ length: 150 }, () => world.call('GET', '', undefined, 'Bearer wrong')))
    expect((await world.call('GET', '', undefined, 'Bearer wrong')).status).toBe(429)
    for (const passed of [0, 6_000, 6_000, 6_000, 6_000]) {
      await world.pass(passed)
      expect((await world.call('GET', '', undefined, `Bearer ${KEY}`)).status).toBe(200)
    }
    // The Secret was read ahead of the time at which its bot would have had to wait for it.
    expect(world.reads).toBeGreaterThan(2)
  })
})
