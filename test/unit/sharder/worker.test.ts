import { beforeEach, describe, expect, it } from 'vitest'
import { SessionShelf } from '../../../sharder/session-shelf.ts'
import { StateBoard } from '../../../sharder/state-board.ts'
import type { ThreadCalls } from '../../../sharder/thread-wire.ts'
import { ThreadDied, type ThreadPool } from '../../../sharder/threads.ts'
import { GatewayWorker } from '../../../sharder/worker.ts'
import { epochOf } from '../../../src/domain/epoch.ts'
import type { AssignShards, Command } from '../../../src/protocol/commands.ts'
import type { Session } from '../../../src/protocol/session.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const never = new AbortController().signal

/** Threads that only remember what they hold. */
class FakeThreads implements ThreadPool {
  readonly count = 2
  readonly held = [new Map<number, ThreadCalls['HOLD']['ask']['holdings'][number]>(), new Map()]
  dead = new Set<number>()
  identify: (shardId: number) => Promise<ThreadCalls['IDENTIFY']['answer']> = async () => ({
    identified: true,
    identifiedMsAgo: 5,
  })

  onIdentify: (signal: AbortSignal) => void = () => {}
  onRelease: () => Promise<void> = async () => {}

  async call(index: number, type: keyof ThreadCalls, ask: object, signal?: AbortSignal): Promise<never> {
    if (type === 'IDENTIFY' && signal) this.onIdentify(signal)
    if (this.dead.has(index)) throw new ThreadDied('the thread of this shard ended')
    return (await this.#answer(index, type, ask)) as never
  }

  async close(): Promise<void> {}

  async #answer(index: number, type: keyof ThreadCalls, ask: object): Promise<unknown> {
    const held = this.held[index] as Map<number, unknown>
    if (type === 'HOLD')
      for (const holding of (ask as ThreadCalls['HOLD']['ask']).holdings) held.set(holding.shardId, holding)
    if (type === 'IDENTIFY') return this.identify((ask as ThreadCalls['IDENTIFY']['ask']).shardId)
    if (type !== 'RELEASE') return null
    const { shardIds } = ask as ThreadCalls['RELEASE']['ask']
    for (const shardId of shardIds) held.delete(shardId)
    await this.onRelease()
    return shardIds.map((shardId) => session(shardId, { sequence: 77, lastContactMsAgo: 10 }))
  }
}

const session = (shardId: number, more: Partial<Session> = {}): Session => ({
  shardId,
  sessionId: `session ${shardId}`,
  resumeGatewayUrl: 'wss://resume',
  sequence: 10,
  totalShards: 10,
  lastContactMsAgo: 1000,
  ...more,
})

const assign = (epoch: number, more: Partial<AssignShards> = {}): AssignShards => ({
  type: 'ASSIGN_SHARDS',
  epoch,
  totalShards: 10,
  first: 2,
  last: 5,
  withhold: [],
  gateway: { url: 'wss://gateway.discord.gg', version: 10, intents: 1, compression: 'None' },
  sessions: [],
  ...more,
})

let clock: VirtualClock
let threads: FakeThreads
let board: StateBoard
let worker: GatewayWorker

let saves: { held: number[]; newest: number }[]

function start(stored: Session[] = [], epoch = 0): void {
  clock = new VirtualClock()
  threads = new FakeThreads()
  saves = []
  const head = { workerId: 1, bootId: 'boot', epoch: 0, draining: false }
  board = new StateBoard(clock, head, new SessionShelf(clock, stored))
  const logger = createLogger('test', 'silent')
  const save = async () => void saves.push({ held: [...board.shardIds], newest: worker.epoch })
  worker = new GatewayWorker({
    workerId: 1,
    clock,
    logger,
    board,
    threads,
    epoch,
    save,
    gatewayHosts: ['*.discord.gg'],
  })
}
beforeEach(() => start())

const identify = (shardId: number, epoch?: number) =>
  worker.handle({ type: 'IDENTIFY_SHARD', shardId, slotInMs: 0, ...(epoch !== undefined && { epoch }) }, never)
const heldIds = () => threads.held.map((held) => [...held.keys()])
const offered = (shardId: number) => threads.held[shardId % 2]?.get(shardId)?.session

describe('epochs', () => {
  it('are obeyed in order: an older manager is refused, the same and a newer one are not', async () => {
    expect(await worker.handle(assign(5), never)).toMatchObject({ ok: true, body: { epoch: 5 } })
    const release: Command = { type: 'RELEASE_SHARDS', epoch: 4, shardIds: [2] }
    for (const command of [assign(4), release])
      expect(await worker.handle(command, never)).toMatchObject({ ok: false, failure: { code: 'STALE_EPOCH' } })
    expect(await identify(2, 4)).toMatchObject({ ok: false, failure: { code: 'STALE_EPOCH' } })
    expect(heldIds()).toEqual([
      [2, 4],
      [3, 5],
    ])
    expect(await worker.handle(assign(5), never)).toMatchObject({ ok: true })
    expect(await identify(2, 6)).toMatchObject({
      ok: true,
      body: { identified: true, workerId: 1, identifiedMsAgo: 5 },
    })
    expect(await worker.handle(assign(5), never)).toMatchObject({ ok: false, failure: { code: 'STALE_EPOCH' } })
    expect(await identify(3)).toMatchObject({ ok: true })
    // One that no leader can have yet is not kept.
    expect(await worker.handle(assign(2 ** 53 - 1), never)).toMatchObject({
      ok: false,
      failure: { code: 'BAD_REQUEST' },
    })
    expect(worker.epoch).toBe(6)
    // Shown is what was carried out, and an IDENTIFY changes nothing that an assignment could.
    expect(board.head.epoch).toBe(5)
  })

  it('of a newer term void the permits of the terms before: their leader may be paused with its requests open', async () => {
    await worker.handle(assign(epochOf(1, 1)), never)
    const seen: AbortSignal[] = []
    threads.onIdentify = (signal) => seen.push(signal)
    const outcome = Promise.withResolvers<ThreadCalls['IDENTIFY']['answer']>()
    threads.identify = () => outcome.promise
    const answers = [identify(2, epochOf(1, 1)), identify(3, epochOf(1, 1))]
    await worker.handle(assign(epochOf(1, 2)), never)
    expect(seen.map(({ aborted }) => aborted)).toEqual([false, false])
    await worker.handle(assign(epochOf(2, 1)), never)
    expect(seen.map(({ aborted }) => aborted)).toEqual([true, true])
    outcome.resolve({ identified: true, identifiedMsAgo: 1 })
    await Promise.all(answers)
  })
})

describe('the range', () => {
  it('leaves out all that is withheld, in whatever order, twice or empty', async () => {
    const withhold = [
      { first: 5, last: 5 },
      { first: 9, last: 8 },
      { first: 2, last: 3 },
      { first: 3, last: 3 },
    ]
    await worker.handle(assign(1, { withhold }), never)
    expect(heldIds()).toEqual([[4], []])
  })

  it('decides who may be identified', async () => {
    expect(await identify(2)).toMatchObject({ ok: false, failure: { code: 'NOT_ASSIGNED', status: 422 } })
    await worker.handle(assign(1, { withhold: [{ first: 4, last: 5 }] }), never)
    expect(heldIds()).toEqual([[2], [3]])
    expect(await identify(4)).toMatchObject({ ok: false, failure: { code: 'NOT_ASSIGNED' } })
    expect(await identify(6)).toMatchObject({ ok: false, failure: { code: 'NOT_ASSIGNED' } })
    await worker.handle(assign(2), never)
    expect(heldIds()).toEqual([
      [2, 4],
      [3, 5],
    ])
    expect(await identify(4)).toMatchObject({ ok: true })
  })

  it('does not close what it no longer contains; only a release does', async () => {
    await worker.handle(assign(1), never)
    await worker.handle(assign(2, { first: 4, last: 7 }), never)
    expect(heldIds()).toEqual([
      [2, 4, 6],
      [3, 5, 7],
    ])
    const answer = await worker.handle({ type: 'RELEASE_SHARDS', epoch: 3, shardIds: [2, 3] }, never)
    expect(answer).toMatchObject({
      ok: true,
      body: { released: [2, 3], sessions: [{ shardId: 2, sequence: 77 }, { shardId: 3 }] },
    })
    expect(heldIds()).toEqual([
      [4, 6],
      [5, 7],
    ])
    expect([...board.shardIds].sort()).toEqual([4, 5, 6, 7])
  })
})

describe('sessions', () => {
  it('come from the manager, or from the former process when they are further', async () => {
    start([
      session(2, { sequence: 30, lastContactMsAgo: 4000 }),
      session(3, { sequence: 5 }),
      session(4, { sessionId: 'newer', lastContactMsAgo: 10 }),
      session(5, { totalShards: 20 }),
    ])
    const sessions = [session(2, { sequence: 20 }), session(3), session(4)]
    await worker.handle(assign(1, { sessions }), never)
    expect(offered(2)).toMatchObject({ sessionId: 'session 2', sequence: 30 })
    expect(offered(3)).toMatchObject({ sequence: 10 })
    expect(offered(4)).toMatchObject({ sessionId: 'newer' })
    expect(offered(5)).toBeUndefined()
  })

  it('that are too old, or of another shard count, are not tried', async () => {
    start([session(2, { lastContactMsAgo: 60_000 })])
    await clock.advance(31_000)
    await worker.handle(assign(1, { sessions: [session(3, { totalShards: 9 })] }), never)
    expect([offered(2), offered(3)]).toEqual([undefined, undefined])
    expect(board.shard(2)?.state).toBe('Unidentified')
  })

  it('of a released shard are told again, older, until it is assigned again', async () => {
    await worker.handle(assign(1), never)
    await worker.handle({ type: 'RELEASE_SHARDS', epoch: 2, shardIds: [2] }, never)
    await clock.advance(500)
    const again = await worker.handle({ type: 'RELEASE_SHARDS', epoch: 3, shardIds: [2] }, never)
    expect(again).toMatchObject({
      ok: true,
      body: { released: [2], sessions: [{ shardId: 2, lastContactMsAgo: 510 }] },
    })
    await worker.handle(assign(4), never)
    expect(offered(2)).toMatchObject({ sequence: 77 })
  })
})

describe('what a killed process leaves', () => {
  const { gateway } = assign(1)
  const assignment = { totalShards: 10, first: 2, last: 5, withhold: [], gateway }

  it('is taken up before anybody asks: sessions resume, the others wait', async () => {
    start([session(2)], epochOf(3, 7))
    await worker.takeUp({ epoch: epochOf(3, 7), assignment, held: [2, 3], sessions: [], ageMs: 900 })
    expect(heldIds()).toEqual([[2], [3]])
    expect(offered(2)).toMatchObject({ sessionId: 'session 2' })
    expect([board.shard(2)?.state, board.shard(3)?.state]).toEqual(['Resuming', 'Unidentified'])
    expect(board.head.assignment).toEqual(assignment)
    expect(await worker.handle(assign(epochOf(2, 9)), never)).toMatchObject({ failure: { code: 'STALE_EPOCH' } })
    expect(await worker.handle(assign(epochOf(3, 8)), never)).toMatchObject({ ok: true })
  })

  it('is left when it is as old as a session can be: by then others may hold the shards', async () => {
    await worker.takeUp({ epoch: 1, assignment, held: [2, 3], sessions: [], ageMs: 90_000 })
    expect([heldIds(), [...board.shardIds]]).toEqual([[[], []], []])
  })

  it('is up to date before a new leader is obeyed, and before a release is answered', async () => {
    await worker.handle(assign(epochOf(1, 1)), never)
    expect(saves).toEqual([{ held: [], newest: epochOf(1, 1) }])
    await worker.handle(assign(epochOf(1, 2)), never)
    await worker.handle({ type: 'RELEASE_SHARDS', epoch: epochOf(1, 3), shardIds: [2, 3] }, never)
    expect(saves.slice(1)).toEqual([{ held: [4, 5], newest: epochOf(1, 3) }])
  })
})

describe('a thread that died', () => {
  it('does not hide that an IDENTIFY was spent', async () => {
    await worker.handle(assign(1), never)
    threads.identify = async (shardId) => {
      board.put({
        shardId,
        state: 'Identifying',
        identifies: 1,
        resumes: 0,
        recovering: false,
        identifiedAt: clock.now(),
      })
      await clock.advance(40)
      throw new ThreadDied('the thread of this shard ended')
    }
    expect(await identify(2)).toMatchObject({ ok: false, failure: { code: 'INTERNAL', identifiedMsAgo: 40 } })
  })

  it('gets its shards back with what was known of them', async () => {
    await worker.handle(assign(1), never)
    const { lastContactMsAgo: _, shardId, ...state } = session(2)
    board.put({ shardId, state: 'Connected', identifies: 1, resumes: 2, recovering: true, session: state })
    await clock.advance(100)
    threads.held[0]?.clear()
    worker.threadDied(0)
    expect(board.shard(2)).toMatchObject({ state: 'Resuming', session: { lastContactAt: 100 } })
    expect(board.shard(3)?.state).toBe('Unidentified')
    worker.threadReplaced(0)
    await clock.advance(0)
    expect(threads.held[0]?.get(2)).toMatchObject({ session: { sequence: 10 }, history: { identifies: 1, resumes: 2 } })
    expect([...(threads.held[0]?.keys() ?? [])]).toEqual([2, 4])
  })

  it('does not get back what is being given up, nor anything once the worker drains', async () => {
    await worker.handle(assign(1), never)
    const flushed = Promise.withResolvers<void>()
    threads.onRelease = () => flushed.promise
    const answer = worker.handle({ type: 'RELEASE_SHARDS', epoch: 2, shardIds: [2, 3] }, never)
    await clock.advance(0)
    threads.held[0]?.clear()
    worker.threadDied(0)
    worker.threadReplaced(0)
    await clock.advance(0)
    expect([...(threads.held[0]?.keys() ?? [])]).toEqual([4])
    flushed.resolve()
    expect(await answer).toMatchObject({ ok: true, body: { released: [2, 3] } })
    void worker.drain(10)
    threads.held[1]?.clear()
    worker.threadReplaced(1)
    await clock.advance(0)
    expect([...(threads.held[1]?.keys() ?? [])]).toEqual([])
  })

  it('does not keep its shards from being released', async () => {
    await worker.handle(assign(1, { sessions: [session(2)] }), never)
    threads.dead.add(0)
    const answer = await worker.handle({ type: 'RELEASE_SHARDS', epoch: 2, shardIds: [2, 3] }, never)
    expect(answer).toMatchObject({
      ok: true,
      body: {
        sessions: [
          { shardId: 2, sequence: 10 },
          { shardId: 3, sequence: 77 },
        ],
      },
    })
    expect([...board.shardIds].sort()).toEqual([4, 5])
  })
})

it('refuses every command once it drains', async () => {
  await worker.handle(assign(1), never)
  threads.dead = new Set([0, 1])
  await worker.drain(10)
  for (const answer of [await worker.handle(assign(2), never), await identify(2)])
    expect(answer).toMatchObject({ ok: false, failure: { code: 'DRAINING', status: 503 } })
  expect(board.head.draining).toBe(true)
})
