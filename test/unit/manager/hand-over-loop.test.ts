import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import type { Target } from '../../../src/domain/hand-over.ts'
import { HandOverLoop, withDeadline } from '../../../src/manager/hand-over-loop.ts'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'
import type { Answer, WorkerPort } from '../../../src/manager/ports.ts'
import { SessionLedger } from '../../../src/manager/session-ledger.ts'
import { SessionSaver } from '../../../src/manager/session-saver.ts'
import { WorkerLink } from '../../../src/manager/worker-link.ts'
import type { Assigned, AssignShards } from '../../../src/protocol/commands.ts'
import { failure } from '../../../src/protocol/failures.ts'
import type { ShardRecord, StateRecord } from '../../../src/protocol/state.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const GATEWAY = { url: 'wss://g', version: 10, intents: 1, compression: 'None' } as const
const logger = pino({ level: 'silent' })
const target = (totalWorkers: number): Target => ({ totalShards: 4, totalWorkers, gatewayKey: 'a', batch: 64 })
const lost: Answer<never> = { ok: false, failure: { code: 'UNKNOWN', message: 'the answer was lost' } }
const record = (shardId: number): ShardRecord => ({
  ...{ shardId, state: 'Connected', identifies: 1, resumes: 0, recovering: true },
})

/** Worker 0, whose answers to ASSIGN_SHARDS are given, and a loop that talks to it. */
async function setUp(answer: (command: Omit<AssignShards, 'type'>) => Answer<Assigned>) {
  const clock = new VirtualClock()
  const assigns: Omit<AssignShards, 'type'>[] = []
  let send: (record: StateRecord) => void = () => {}
  const port: WorkerPort = {
    identify: async () => lost,
    release: async () => lost,
    send: async () => lost,
    assign: async (command) => {
      assigns.push(command)
      return answer(command)
    },
    watch: (onRecord, signal) =>
      new Promise((_, reject) => {
        send = onRecord
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
      }),
  }
  const ref = { ordinal: 0, uid: 'u', name: 'bot-4-0', port }
  const link = new WorkerLink({ ref, clock, random: () => 1, logger, onChange: () => {} })
  send({ type: 'SNAPSHOT', workerId: 0, bootId: 'a', epoch: 0, draining: false, sinks: [], shards: [], sessions: [] })
  const shared = { cluster: 'ns/bot', clock, logger, links: new Map([[0, link]]), sessions: new SessionLedger() }
  const loop = new HandOverLoop({
    ...shared,
    saver: new SessionSaver({ ...shared, totalShards: () => 4, ownerOf: () => 0, store: undefined }),
    metrics: createManagerMetrics(new Registry()),
    ...{ identifying: new Set<number>(), term: 3, signal: link.signal, onSettled: () => {} },
  })
  const step = async (totalWorkers: number, ms = 3_000) => {
    loop.step(target(totalWorkers), GATEWAY)
    await clock.advance(ms)
  }
  return { clock, link, loop, assigns, step, send: (record: StateRecord) => send(record) }
}

const obeys = ({ epoch, first, last }: Omit<AssignShards, 'type'>): Answer<Assigned> => ({
  ok: true,
  value: { assigned: true, epoch, first, last },
})

test('the same again is not sent again', async () => {
  const { step, assigns, link, loop } = await setUp(obeys)
  await step(1)
  await step(1)
  expect(assigns.map(({ epoch, first, last }) => [epoch, first, last])).toEqual([[300_000_001, 0, 3]])
  expect(loop.obeyed(0)).toBe(true)
  expect(loop.epochFor(0)).toBe(300_000_001)
  await link.stop()
})

test('an assignment whose answer was lost may have been obeyed: going back to the one before is sent', async () => {
  let answer: typeof obeys = obeys
  const { step, assigns, link } = await setUp((command) => answer(command))
  await step(1)
  answer = () => lost
  await step(2)
  answer = obeys
  await step(1)
  expect(assigns.map(({ first, last }) => [first, last])).toEqual([
    [0, 3],
    [0, 1],
    [0, 3],
  ])
  await link.stop()
})

test('shards that were given away are held by their worker until its stream shows otherwise', async () => {
  const { step, send, loop, link } = await setUp(obeys)
  await step(1)
  expect([...(loop.factsOf(0)?.held ?? [])]).toEqual([0, 1, 2, 3])
  send({ type: 'DELTA', shards: [], gone: [] })
  expect(loop.factsOf(0)?.held.size).toBe(4)
  send({ type: 'DELTA', shards: [record(0), record(1)], gone: [], epoch: 300_000_001 })
  expect([...(loop.factsOf(0)?.held ?? [])]).toEqual([0, 1])
  await link.stop()
})

test('of a refused assignment nothing is held; the worker is left alone for two seconds', async () => {
  const { step, assigns, loop, link } = await setUp(() => ({ ok: false, failure: failure('STALE_EPOCH', 'older') }))
  await step(1, 1_900)
  expect(loop.factsOf(0)?.held.size).toBe(0)
  await step(1, 100)
  expect(assigns).toHaveLength(1)
  await step(1)
  expect(assigns).toHaveLength(2)
  expect(link.lastError).toBe('older')
  await link.stop()
})

test('another process behind the same pod was told nothing', async () => {
  const { step, send, loop, link, assigns } = await setUp(obeys)
  await step(1)
  send({ type: 'SNAPSHOT', workerId: 0, bootId: 'b', epoch: 0, draining: false, sinks: [], shards: [], sessions: [] })
  expect(loop.obeyed(0)).toBe(false)
  expect(loop.factsOf(0)?.held.size).toBe(0)
  await step(1)
  expect(assigns).toHaveLength(2)
  await link.stop()
})

test('a deadline aborts what it is for and leaves no timer behind what ended in time', async () => {
  const clock = new VirtualClock()
  const reason = withDeadline(
    clock,
    1_000,
    [],
    (signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(signal.reason.message))
      }),
  )
  await clock.advance(1_000)
  expect(await reason).toBe('no answer within 1 s')
  expect(await withDeadline(clock, 1_000, [], async () => 'done')).toBe('done')
  expect(clock.pending).toBe(0)
})

test('a command that fails as nobody expected ends nothing: it is logged, and tried again after the pause', async () => {
  let answer: typeof obeys = () => {
    throw new TypeError('a bug')
  }
  const { step, assigns, loop, link } = await setUp((command) => answer(command))
  await step(1, 1_900)
  expect(assigns).toHaveLength(1)
  answer = obeys
  await step(1, 100)
  await step(1)
  expect(assigns).toHaveLength(2)
  expect(loop.obeyed(0)).toBe(true)
  await link.stop()
})
