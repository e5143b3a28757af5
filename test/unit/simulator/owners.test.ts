import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../../src/simulator/index.ts'
import { type Ownership, OwnerWatch } from '../../../src/simulator/owners.ts'
import { counters, until } from './client.ts'
import { simulators, TOKEN } from './harness.ts'
import { ManualClock } from './manual-clock.ts'

const { start, connect } = simulators()

/** A watch over made-up sockets: `sockets` is what the server has, `take` what the rules say. */
function watched() {
  const clock = new ManualClock()
  const sockets = new Set<Ownership>()
  const watch = new OwnerWatch(clock, () => sockets)
  const shard = { id: 1, total: 4 }
  const take = (of = shard) => {
    const state = { live: true }
    const ownership = watch.take('bot', of, () => state.live)
    sockets.add(ownership)
    const close = () => {
      state.live = false
      sockets.delete(ownership)
      ownership.end()
    }
    return { ownership, state, close }
  }
  return { clock, watch, sockets, shard, take }
}

describe('the watch over owners', () => {
  it('samples at every change and at a steady pace', () => {
    const { clock, watch, take } = watched()
    const first = take()
    expect(watch.stats()).toEqual({ samples: 1, most: 1, superseded: 0, breaches: [] })
    for (let census = 0; census < 5; census += 1) clock.advance(200)
    expect(watch.stats().samples).toBe(6)
    first.close()
    take().close()
    expect(watch.stats()).toEqual({ samples: 9, most: 1, superseded: 0, breaches: [] })
  })

  it('sees two live owners at once, for as long as there are two, as one breach', () => {
    const { clock, watch, take } = watched()
    take({ id: 0, total: 4 })
    const [first, second] = [take(), take()]
    const from = clock.date().toISOString()
    clock.advance(1000)
    const to = clock.date().toISOString()
    second.close()
    clock.advance(1000)
    const breach = { kind: 'seen', applicationId: 'bot', shard: [1, 4], owners: 2, firstAt: from, lastAt: to }
    expect(watch.stats()).toMatchObject({ most: 2, breaches: [breach] })
    take()
    expect(watch.stats().breaches).toHaveLength(2)
    first.close()
  })

  it('finds at its pace what no change has told', () => {
    const { clock, watch, sockets, take, shard } = watched()
    const first = take()
    sockets.add({ ...first.ownership, live: true, shard })
    clock.advance(200)
    expect(watch.stats()).toMatchObject({ most: 2, breaches: [{ kind: 'seen', owners: 2 }] })
  })

  it('does not count a connection that is closing', () => {
    const { clock, watch, take } = watched()
    const first = take()
    first.state.live = false
    take()
    clock.advance(1000)
    expect(watch.stats()).toMatchObject({ most: 1, breaches: [] })
  })

  it('keeps the newest hundred breaches', () => {
    const { watch, take } = watched()
    take()
    for (let i = 0; i < 150; i += 1) take().close()
    expect(watch.stats().breaches).toHaveLength(100)
  })
})

async function resume(simulator: Simulator, sessionId: string) {
  const client = connect(simulator)
  await client.op(10)
  client.send(6, { token: TOKEN, session_id: sessionId, seq: 1 })
  await client.event('RESUMED')
  return client
}

describe('owners of a simulated Discord', () => {
  it('are two when a shard is identified twice', async () => {
    const simulator = await start({ identifyWindowMs: 1 })
    await connect(simulator).ready(TOKEN, [0, 2])
    await connect(simulator).ready(TOKEN, [1, 2])
    expect(simulator.stats().owners).toMatchObject({ most: 1, breaches: [] })
    await connect(simulator).ready(TOKEN, [0, 2])
    expect(simulator.stats().owners).toMatchObject({ most: 2, breaches: [{ kind: 'seen', shard: [0, 2], owners: 2 }] })
    expect(simulator.stats().violations.doubleOwner).toBe(1)
  })

  it('are two when a RESUME takes the session from a client that is still there', async () => {
    const simulator = await start()
    const first = connect(simulator)
    const ready = await first.ready(TOKEN, [0, 1])
    await resume(simulator, ready.d.session_id)
    await first.closed
    await until(() => simulator.stats().owners.breaches.length > 0)
    expect(simulator.stats().owners).toMatchObject({ most: 2, superseded: 1, breaches: [{ kind: 'evicted' }] })
    expect(simulator.stats().violations.doubleOwner).toBe(0)
  })

  it('are one when it takes the session from a connection whose client is gone', async () => {
    const simulator = await start()
    const first = connect(simulator)
    const ready = await first.ready(TOKEN, [0, 1])
    // Nobody reads any more and nobody says so: what is left of a process after kill -9 behind a cut cable.
    first.ws.pause()
    await resume(simulator, ready.d.session_id)
    first.ws.terminate()
    await until(() => simulator.stats().openConnections === 1)
    expect(simulator.stats().owners).toMatchObject({ most: 1, superseded: 1, breaches: [] })
  })

  it('are one when a client closes and resumes', async () => {
    const simulator = await start()
    const first = connect(simulator)
    const ready = await first.ready(TOKEN, [0, 1])
    first.ws.close(4000, 'released')
    await resume(simulator, ready.d.session_id)
    await first.closed
    expect(simulator.stats().owners).toMatchObject({ most: 1, breaches: [] })
  })
})

it('tells of each shard what was sent, once and again, and how far its sessions are', async () => {
  const simulator = await start({ guildsPerShard: 0 })
  const first = connect(simulator)
  const ready = await first.ready(TOKEN, [0, 1])
  simulator.control('burst', { count: 10 })
  await until(() => counters(first).length === 10)
  await first.close(4000)
  const again = await resume(simulator, ready.d.session_id)
  await again.event('RESUMED')
  const stats = simulator.stats({ detail: true }).bots[0]?.shards?.['0/1']
  // READY, ten events and RESUMED; the events twice.
  expect(stats).toMatchObject({ identifies: 1, resumes: 1, sent: 12, replayed: 10 })
  expect(stats?.sequences).toEqual({ [ready.d.session_id]: 12 })
  expect(simulator.stats().bots[0]?.resumeSpan?.firstAt).toBeGreaterThan(0)
})
