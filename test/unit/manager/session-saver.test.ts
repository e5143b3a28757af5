import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SavedSession, SessionStore } from '../../../src/manager/ports.ts'
import { SessionLedger } from '../../../src/manager/session-ledger.ts'
import { SessionSaver } from '../../../src/manager/session-saver.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import { SESSION_LIFETIME_MS, type Session } from '../../../src/protocol/session.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord, aSession } from './a-link.ts'

const logger = pino({ level: 'silent' })
const MINUTE_MS = 60_000

let clock: VirtualClock
let sessions: SessionLedger
let links: Map<number, WorkerLink>
let loads: number
let load: SessionStore['load']
let saves: { ordinal: number; at: number; sessions: readonly SavedSession[] }[]
let save: SessionStore['save']
beforeEach(() => {
  clock = new VirtualClock()
  sessions = new SessionLedger()
  links = new Map()
  loads = 0
  load = async () => []
  saves = []
  save = async () => {}
})
afterEach(async () => {
  for (const link of links.values()) await link.stop()
})

const store: SessionStore = {
  load() {
    loads++
    return load()
  },
  save(ordinal, saved) {
    saves.push({ ordinal, at: clock.now(), sessions: saved })
    return save(ordinal, saved)
  },
}
const saver = (to: SessionStore | undefined = store) =>
  new SessionSaver({
    ...{ cluster: 'ns/bot', clock, logger, links, sessions, store: to },
    ...{ totalShards: () => 10, ownerOf: (shardId: number) => Math.floor(shardId / 5) },
  })
/** A worker with these shards, connected. */
function worker(ordinal: number, ...shardIds: number[]) {
  links.set(
    ordinal,
    aLink(
      ordinal,
      clock,
      shardIds.map((shardId) => aRecord(shardId)),
    ),
  )
  for (const shardId of shardIds) sessions.record(aSession(shardId), true, clock.now())
}
const ofSave = (index: number) => saves[index]?.sessions.map(({ shardId, connected }) => `${shardId} ${connected}`)
const resumable = (...shardIds: number[]) => sessions.resumable(shardIds, 10, clock.now()).map(({ shardId }) => shardId)
/** A promise that a test settles, in place of a store that takes its time. */
function stuck<T>() {
  const { promise, resolve } = Promise.withResolvers<T>()
  return { wait: () => promise, go: resolve }
}

describe('reading', () => {
  test('happens once, however often it is asked for, and what was saved is in the ledger then', async () => {
    load = async () => [aSession(1), aSession(7)]
    const one = saver()
    await Promise.all([one.loaded(), one.loaded()])
    await one.loaded()
    expect(loads).toBe(1)
    expect(resumable(1, 2, 7)).toEqual([1, 7])
    expect(clock.pending).toBe(0)
  })

  test('is waited for ten seconds; what comes later comes too late', async () => {
    const slow = stuck<Session[]>()
    load = slow.wait
    let done = false
    const loaded = saver()
      .loaded()
      .then(() => {
        done = true
      })
    await clock.advance(9_999)
    expect(done).toBe(false)
    await clock.advance(1)
    await loaded
    slow.go([aSession(1)])
    await clock.advance(1)
    expect(resumable(1)).toEqual([])
  })

  test('that fails holds nobody up', async () => {
    load = async () => Promise.reject(new Error('403'))
    await saver().loaded()
    expect(resumable(1)).toEqual([])
    expect(clock.pending).toBe(0)
  })

  test('does not replace what a worker said', async () => {
    worker(0, 1)
    load = async () => [aSession(1, { sessionId: 'old', sequence: 99 })]
    await saver().loaded()
    expect(sessions.resumable([1], 10, clock.now())).toEqual([aSession(1)])
  })
})

describe('saving', () => {
  test('on drain: what the worker said last, of which none is connected', () => {
    saver().drained(3, [aSession(1), aSession(2)])
    expect(saves[0]?.ordinal).toBe(3)
    expect(ofSave(0)).toEqual(['1 false', '2 false'])
  })

  test('at the pace: each worker once an interval, and no more once it is stopped or set to 0', async () => {
    worker(0, 0, 1)
    worker(1, 5)
    const one = saver()
    one.pace(MINUTE_MS)
    await clock.advance(30_000)
    // Every reconcile sets it again.
    one.pace(MINUTE_MS)
    await clock.advance(2.5 * MINUTE_MS)
    expect(saves.map(({ ordinal, at }) => [ordinal, at])).toEqual([
      ...[1, 2, 3].flatMap((minute) => [
        [0, minute * MINUTE_MS],
        [1, minute * MINUTE_MS],
      ]),
    ])
    expect(ofSave(0)).toEqual(['0 true', '1 true'])
    one.pace(0)
    expect(clock.pending).toBe(2)
    await clock.advance(10 * MINUTE_MS)
    one.pace(MINUTE_MS)
    one.stop()
    await clock.advance(10 * MINUTE_MS)
    expect(saves).toHaveLength(6)
  })

  test('says which were connected, and how old the others are', async () => {
    worker(0, 0, 1)
    sessions.disconnected(1, clock.now())
    await clock.advance(5_000)
    await saver().saveAll()
    expect(saves[0]?.sessions).toEqual([
      { ...aSession(0), connected: true },
      { ...aSession(1, { lastContactMsAgo: 5_000 }), connected: false },
    ])
  })

  test('is nothing where there is nothing: no session, too old, of another number of shards, no store', async () => {
    links.set(0, aLink(0, clock, [aRecord(0, { state: 'Unidentified' })]))
    sessions.record(aSession(1), false, clock.now())
    sessions.record(aSession(2, { totalShards: 20 }), true, clock.now())
    await clock.advance(SESSION_LIFETIME_MS)
    const one = saver()
    one.drained(0, [])
    await one.saveAll()
    expect(saves).toEqual([])
    const without = new SessionSaver({
      ...{ cluster: 'ns/bot', clock, logger, links, sessions, store: undefined },
      ...{ totalShards: () => 10, ownerOf: () => 0 },
    })
    const { pending } = clock
    without.pace(MINUTE_MS)
    expect(clock.pending).toBe(pending)
    await without.loaded()
    await without.saveAll()
    expect(loads).toBe(0)
  })

  test('keeps what nobody holds now, for whoever shall hold it: a pod is away while this manager ends', async () => {
    worker(0, 0)
    sessions.record(aSession(6), false, clock.now())
    // Its pod is there again, and has said nothing yet.
    links.set(1, aLink(1, clock))
    await saver().saveAll()
    expect(saves.map(({ ordinal }, index) => [ordinal, ofSave(index)])).toEqual([
      [0, ['0 true']],
      [1, ['6 false']],
    ])
  })

  test('is by who holds a shard now, not by who shall: a hand-over may be under way', async () => {
    worker(1, 0, 5)
    await saver().saveAll()
    expect(saves.map(({ ordinal }, index) => [ordinal, ofSave(index)])).toEqual([[1, ['0 true', '5 true']]])
  })
})

describe('a slow store', () => {
  test('is asked for one after the other; a failure does not keep the next from being saved', async () => {
    let under = 0
    let most = 0
    save = async (ordinal) => {
      most = Math.max(most, ++under)
      await new Promise<void>((resolve) => void clock.after(1_000, resolve))
      under--
      if (ordinal === 0) throw new Error('409')
    }
    worker(0, 0)
    worker(1, 5)
    const saved = saver().saveAll()
    await clock.advance(2_000)
    await saved
    expect(most).toBe(1)
    expect(saves.map(({ ordinal, at }) => [ordinal, at])).toEqual([
      [0, 0],
      [1, 1_000],
    ])
  })

  test('gets the newest of each worker only, and last what was saved last', async () => {
    const slow = stuck<void>()
    save = slow.wait
    const one = saver()
    for (let sequence = 1; sequence <= 50; sequence++) {
      one.drained(0, [aSession(0, { sequence })])
      one.drained(1, [aSession(5, { sequence })])
    }
    slow.go()
    await clock.advance(0)
    expect(saves.map(({ ordinal, sessions: [first] }) => [ordinal, first?.sequence])).toEqual([
      [0, 1],
      [1, 50],
      [0, 50],
    ])
  })

  test('gets nothing more from a manager that was stopped, but what it saves in good order', async () => {
    const slow = stuck<void>()
    save = slow.wait
    const one = saver()
    one.drained(0, [aSession(0)])
    one.drained(1, [aSession(5)])
    one.stop()
    slow.go()
    await clock.advance(0)
    expect(saves.map(({ ordinal }) => ordinal)).toEqual([0])
    worker(1, 5)
    await one.saveAll()
    expect(saves.map(({ ordinal }) => ordinal)).toEqual([0, 1])
  })
})
