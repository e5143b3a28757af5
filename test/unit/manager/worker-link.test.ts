import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { WorkerPort } from '../../../src/manager/ports.ts'
import { WorkerLink } from '../../../src/manager/worker-link.ts'
import { failure } from '../../../src/protocol/failures.ts'
import type { StateRecord } from '../../../src/protocol/state.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const snapshot: StateRecord = {
  ...{ type: 'SNAPSHOT', workerId: 0, bootId: 'a', epoch: 0, draining: false, sinks: [], sessions: [] },
  shards: [{ shardId: 3, state: 'Connected', identifies: 1, resumes: 0, recovering: true }],
}
const keepalive: StateRecord = { type: 'DELTA', shards: [], gone: [] }

interface Stream {
  readonly at: number
  readonly send: (record: StateRecord) => void
  readonly end: () => void
  readonly fail: (error: Error) => void
}

function setUp(onOpen: (stream: Stream) => void = () => {}, onChange = () => {}) {
  const clock = new VirtualClock()
  const streams: Stream[] = []
  const changes: (boolean | undefined)[] = []
  const nobody = () => Promise.reject(new Error('not asked here'))
  const port: WorkerPort = {
    ...{ identify: nobody, assign: nobody, release: nobody, send: nobody },
    watch: (send, signal) =>
      new Promise((end, fail) => {
        signal.addEventListener('abort', () => fail(new Error('aborted')), { once: true })
        const stream = { at: clock.now(), send, end, fail }
        streams.push(stream)
        onOpen(stream)
      }),
  }
  const link = new WorkerLink({
    ...{ clock, random: () => 1, logger: pino({ level: 'silent' }) },
    ref: { ordinal: 0, uid: 'u', name: 'bot-10-0', port, presumed: { first: 0, last: 4 } },
    onChange: (_, changed) => {
      changes.push(changed?.structural)
      onChange()
    },
  })
  const last = () => streams.at(-1) as Stream
  return { clock, link, streams, changes, last }
}

test('until it is heard a worker may hold what was presumed; then what it says', async () => {
  const { link, last, changes } = setUp()
  expect([...link.view.held()]).toEqual([0, 1, 2, 3, 4])
  last().send(snapshot)
  expect([...link.view.held()]).toEqual([3])
  expect(link.view.connected).toBe(true)
  expect(changes).toEqual([true])
  await link.stop()
})

test('a stream that is silent for 15 s is broken and opened anew; keep-alives prevent it', async () => {
  const { clock, link, streams, last, changes } = setUp()
  last().send(snapshot)
  for (let i = 0; i < 10; i++) {
    await clock.advance(5_000)
    last().send(keepalive)
  }
  expect(streams).toHaveLength(1)
  await clock.advance(14_999)
  expect(link.view.connected).toBe(true)
  await clock.advance(1)
  expect(link.view.connected).toBe(false)
  expect(link.lastError).toBe('silent for 15 s')
  expect(changes.at(-1)).toBeUndefined()
  await clock.advance(100)
  expect(streams).toHaveLength(2)
  expect([...link.view.held()]).toEqual([3])
  await link.stop()
})

test('a worker that refuses is asked after longer and longer, at most every 5 s', async () => {
  const { clock, link, streams } = setUp(({ fail }) => fail(new Error('connect ECONNREFUSED')))
  await clock.advance(60_000)
  const pauses = streams.slice(1).map(({ at }, i) => at - (streams[i] as Stream).at)
  expect(pauses.slice(0, 7)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000])
  expect(new Set(pauses.slice(6))).toEqual(new Set([5_000]))
  expect(link.lastError).toBe('connect ECONNREFUSED')
  await link.stop()
})

test('so is one that says hello and breaks; after a stream that held, the first pause is short again', async () => {
  let hello = true
  const { clock, link, streams, last } = setUp(({ send, end }) => {
    if (!hello) return
    send(snapshot)
    end()
  })
  await clock.advance(60_000)
  expect(streams.length).toBeLessThan(20)
  hello = false
  await clock.advance(5_000)
  last().send(snapshot)
  await clock.advance(8_000)
  last().send(keepalive)
  last().end()
  const endedAt = clock.now()
  await clock.advance(100)
  expect(last().at - endedAt).toBe(100)
  await link.stop()
})

test('stopping ends it for good, whatever it was doing, and leaves no timer', async () => {
  const waiting = setUp(({ fail }) => fail(new Error('refused')))
  await waiting.clock.advance(1_000)
  const open = setUp()
  for (const { clock, link, streams } of [waiting, open]) {
    const { length } = streams
    await link.stop()
    expect(link.signal.aborted).toBe(true)
    expect(clock.pending).toBe(0)
    await clock.advance(60_000)
    expect(streams).toHaveLength(length)
  }
})

test('a listener that fails ends neither the stream nor the process', async () => {
  const { clock, link, streams, last, changes } = setUp(undefined, () => {
    throw new TypeError('a bug')
  })
  last().send(snapshot)
  last().end()
  await clock.advance(100)
  last().send(snapshot)
  expect(changes).toEqual([true, undefined, true])
  expect(streams).toHaveLength(2)
  expect(link.view.connected).toBe(true)
  await link.stop()
})

test('an answer that broke a bound ends the stream; one that was refused or lost does not', async () => {
  const { clock, link, streams, last } = setUp()
  last().send(snapshot)
  link.judged({ ok: false, failure: { code: 'UNKNOWN', message: 'lost' } })
  link.judged({ ok: false, failure: failure('STALE_EPOCH', 'older') })
  await clock.advance(1)
  expect(link.view.connected).toBe(true)
  link.judged({ ok: false, failure: { code: 'UNKNOWN', message: 'the worker gave too much', bound: 'Answer' } })
  await clock.advance(1)
  expect(link.view.connected).toBe(false)
  expect(link.lastError).toBe('the worker gave too much')
  await clock.advance(998)
  expect(streams).toHaveLength(1)
  await clock.advance(1)
  expect(streams).toHaveLength(2)
  await link.stop()
})
