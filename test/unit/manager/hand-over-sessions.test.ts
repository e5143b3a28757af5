import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HandOverLoop } from '../../../src/manager/hand-over-loop.ts'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'
import type { SessionStore, WorkerPort } from '../../../src/manager/ports.ts'
import { SessionLedger } from '../../../src/manager/session-ledger.ts'
import { SessionSaver } from '../../../src/manager/session-saver.ts'
import { WorkerLink } from '../../../src/manager/worker-link.ts'
import type { AssignShards } from '../../../src/protocol/commands.ts'
import { SESSION_LIFETIME_MS } from '../../../src/protocol/session.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aRecord, aSession, aSnapshot } from './a-link.ts'

const GATEWAY = { url: 'wss://g', version: 10, intents: 1, compression: 'None' } as const
const logger = pino({ level: 'silent' })

let clock: VirtualClock
let sessions: SessionLedger
let links: Map<number, WorkerLink>
let registry: Registry
let loop: HandOverLoop
let assigns: (Omit<AssignShards, 'type'> & { ordinal: number })[]
let load: SessionStore['load']
beforeEach(() => {
  clock = new VirtualClock()
  sessions = new SessionLedger()
  links = new Map()
  registry = new Registry()
  assigns = []
  load = async () => []
  const shared = { cluster: 'ns/bot', clock, logger, links, sessions }
  const store: SessionStore = { load: () => load(), save: async () => {} }
  loop = new HandOverLoop({
    ...shared,
    saver: new SessionSaver({ ...shared, totalShards: () => 10, ownerOf: () => 0, store }),
    metrics: createManagerMetrics(registry),
    ...{ identifying: new Set<number>(), term: 3, signal: new AbortController().signal, onSettled: () => {} },
  })
})
afterEach(async () => {
  for (const link of links.values()) await link.stop()
})

/** A worker that obeys, and whose stream shows what a test tells its view. */
function worker(ordinal: number, ...shards: Parameters<typeof aRecord>[]): WorkerLink {
  const port: WorkerPort = {
    identify: () => Promise.reject(new Error('not asked here')),
    send: () => Promise.reject(new Error('not asked here')),
    async assign(command) {
      assigns.push({ ordinal, ...command })
      const { epoch, first, last } = command
      return { ok: true, value: { assigned: true, epoch, first, last } }
    },
    release: async ({ shardIds }) => ({
      ok: true,
      value: { released: shardIds, sessions: shardIds.map((shardId) => aSession(shardId)) },
    }),
    watch: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
      }),
  }
  const ref = { ordinal, uid: `u${ordinal}`, name: `bot-10-${ordinal}`, port }
  const link = new WorkerLink({ ref, clock, random: () => 1, logger, onChange: () => {} })
  links.set(ordinal, link)
  link.view.apply(aSnapshot(shards.map((one) => aRecord(...one))), 0)
  return link
}
const step = async (totalWorkers: number) => {
  loop.step({ totalShards: 10, totalWorkers, gatewayKey: 'a', batch: 64 }, GATEWAY)
  await clock.advance(10)
}
/** Until what was saved has been read, whatever it takes to be told before that. */
const settled = async (totalWorkers: number) => {
  await step(totalWorkers)
  await step(totalWorkers)
}
/** Sessions that were given, of each assignment since `from`. */
const given = (from = 0) => assigns.slice(from).map((one) => one.sessions.map(({ shardId }) => shardId))
const waits = { state: 'Unidentified', identifies: 0, recovering: false } as const
/** The worker's stream shows that it obeyed. */
const obeyed = (link: WorkerLink, ...shards: Parameters<typeof aRecord>[]) =>
  link.view.apply(
    { type: 'DELTA', shards: shards.map((one) => aRecord(...one)), gone: [], epoch: assigns.at(-1)?.epoch },
    clock.now(),
  )

describe('a session that turns up for a shard which waits without one', () => {
  test('is owed to its worker, keeps the shard from identifying, and is given once', async () => {
    const link = worker(0, ...[...Array(10).keys()].map((shardId): [number, object] => [shardId, waits]))
    await settled(1)
    obeyed(link)
    const { length } = assigns
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
    expect(loop.allowsIdentify(0, 4)).toBe(true)
    sessions.offer(aSession(4), clock.now())
    expect(loop.factsOf(0)?.owed).toEqual(new Set([4]))
    expect([loop.allowsIdentify(0, 4), loop.allowsIdentify(0, 5)]).toEqual([false, true])
    await step(1)
    expect(given(length)).toEqual([[4]])
    // It did not take it: the shard is not held up for ever.
    obeyed(link, [4, waits])
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
    expect(loop.allowsIdentify(0, 4)).toBe(true)
    await step(1)
    expect(assigns).toHaveLength(length + 1)
  })

  test('is owed again to a process that began anew, and no longer when it is too old', async () => {
    const link = worker(0, [4, waits])
    sessions.offer(aSession(4), clock.now())
    await settled(1)
    obeyed(link, [4, waits])
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
    link.view.apply(aSnapshot([aRecord(4, waits)], { bootId: 'b' }), clock.now())
    expect(loop.factsOf(0)?.owed).toEqual(new Set([4]))
    await clock.advance(SESSION_LIFETIME_MS)
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
  })

  test('is not owed to a shard that has one, is connected, or shall be elsewhere, nor by a worker that is not heard', async () => {
    const link = worker(0, [0, { ...waits, session: aSession(0) }], [1, {}], [9, waits])
    await settled(2)
    for (const shardId of [0, 1, 9]) sessions.offer(aSession(shardId), clock.now())
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
    link.view.apply(aSnapshot([aRecord(2, waits)]), clock.now())
    sessions.offer(aSession(2), clock.now())
    expect(loop.factsOf(0)?.owed).toEqual(new Set([2]))
    link.view.connected = false
    expect(loop.factsOf(0)?.owed).toEqual(new Set())
  })

  test('is looked for where sessions are saved before a shard nobody knows is given away, and counted', async () => {
    load = async () => [aSession(0), aSession(7)]
    worker(0)
    await settled(1)
    expect(given().flat()).toEqual([0, 7])
    const text = await registry.metrics()
    expect(text).toContain('shardcluster_assigned_shards_total{cluster="ns/bot",session="known"} 2')
    expect(text).toContain('shardcluster_assigned_shards_total{cluster="ns/bot",session="none"} 8')
  })
})

describe('a shard that a worker gave up', () => {
  test('keeps that worker until it has arrived; how long it was under way is measured', async () => {
    const from = worker(1, [0], [1])
    const to = worker(0)
    await settled(1)
    obeyed(from)
    obeyed(to)
    for (const [shardId, ordinal] of [...Array(8).keys()].map((i) => [i + 2, 0] as const))
      links.get(ordinal)?.view.shards.set(shardId, aRecord(shardId))
    await step(1)
    expect(loop.factsOf(1)?.parted).toEqual(new Set([0, 1]))
    await clock.advance(490)
    to.view.shards.set(0, aRecord(0))
    loop.arrived(0, 0)
    expect(loop.factsOf(1)?.parted).toEqual(new Set([1]))
    expect(await registry.metrics()).toContain('shardcluster_hand_over_seconds_sum{cluster="ns/bot"} 0.5')
    // Once it is connected where it came to, another report of that is no hand-over.
    loop.arrived(0, 0)
    expect(await registry.metrics()).toContain('shardcluster_hand_over_seconds_count{cluster="ns/bot"} 1')
    to.view.connected = false
    to.view.shards.set(1, aRecord(1))
    expect(loop.factsOf(1)?.parted).toEqual(new Set([1]))
    await clock.advance(SESSION_LIFETIME_MS)
    expect(loop.factsOf(1)?.parted).toEqual(new Set())
  })
})
