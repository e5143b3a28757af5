import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { Candidate, Grant } from '../../../src/domain/identify-schedule.ts'
import { IdentifyLane } from '../../../src/manager/identify-lane.ts'
import type { IdentifyOutcome, IdentifySource } from '../../../src/manager/identify-source.ts'
import type { SessionInfoAnswer } from '../../../src/manager/session-info.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aCandidate } from '../domain/schedule-model.ts'

const WINDOW_MS = 5_000
const MINUTE_MS = 60_000

const info = (more = {}): SessionInfoAnswer => ({
  ok: true,
  info: {
    url: 'wss://g',
    shards: 1,
    limit: { total: 1_000, remaining: 900, resetAfter: 0, maxConcurrency: 16, ...more },
  },
})

function setUp(answer: () => SessionInfoAnswer = info) {
  const clock = new VirtualClock()
  const asked: number[] = []
  const started: { grant: Grant; at: number; settle: (outcome: IdentifyOutcome) => void }[] = []
  const waiting = new Map<number, Candidate>()
  const lane = new IdentifyLane({
    ...{ clock, random: () => 1, logger: pino({ level: 'silent' }), leadingSince: 0 },
  })
  const member = lane.join('ns/bot', {
    ask: async () => {
      asked.push(clock.now())
      return answer()
    },
  })
  const source: IdentifySource = {
    ...{ cluster: 'ns/bot', windowMilliseconds: WINDOW_MS, onSessionInfo: () => {} },
    candidates: () => waiting.values(),
    start: (grant) => {
      waiting.delete(grant.candidate.shardId)
      return new Promise((settle) => started.push({ grant, at: clock.now(), settle }))
    },
  }
  const want = (...shardIds: number[]) => {
    for (const shardId of shardIds) waiting.set(shardId, aCandidate(shardId))
    lane.wake()
  }
  return { clock, lane, member, source, asked, started, want, slots: () => started.map(({ grant }) => grant.slotAt) }
}

test('a day of which nothing was spent ends in 0 ms, says Discord: nobody is asked every second for that', async () => {
  const { clock, lane, member, source, asked } = setUp()
  member.register(source)
  await clock.advance(20 * MINUTE_MS)
  expect(asked.length).toBeLessThanOrEqual(5)
  lane.stop()
  expect(clock.pending).toBe(0)
})

test('a new day is asked for when it begins', async () => {
  const { clock, lane, member, source, asked } = setUp(() => info({ resetAfter: 90_000 }))
  member.register(source)
  await clock.advance(91_000)
  expect(asked).toEqual([0, 91_000])
  lane.stop()
})

test('failures are retried after longer and longer, and never before retry_after', async () => {
  const { clock, lane, member, source, asked } = setUp(() => ({
    ...{ ok: false, problem: { reason: 'RestProxyRateLimited', message: '429', retryAfterMs: 30_000 } },
  }))
  member.register(source)
  await clock.advance(20 * MINUTE_MS)
  const pauses = asked.slice(1).map((at, i) => at - (asked[i] as number))
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(30_000)
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b))
  lane.stop()
})

test('session info is asked for again after a time in which no ShardCluster was there', async () => {
  const { clock, lane, member, source, asked } = setUp()
  const unregister = member.register(source)
  await clock.advance(1_000)
  unregister()
  await clock.advance(60 * MINUTE_MS)
  expect(asked).toHaveLength(1)
  member.register(source)
  await clock.advance(1_000)
  expect(asked).toHaveLength(2)
  lane.stop()
})

test('the first slot is one window after this process began to lead; each bucket has its own', async () => {
  const { clock, lane, member, source, want, slots } = setUp()
  member.register(source)
  await clock.advance(10)
  want(0, 1, 16)
  await clock.advance(10)
  expect(slots()).toHaveLength(2)
  for (const slot of slots()) expect(slot).toBeGreaterThanOrEqual(WINDOW_MS)
  lane.stop()
})

test('a report of the attempt before does not free the bucket of one that is still to leave', async () => {
  const { clock, lane, member, source, want, started } = setUp()
  member.register(source)
  await clock.advance(20_000)
  want(0)
  await clock.advance(100)
  const [first] = started
  first?.settle({ sentAt: 20_000, tooEarly: false })
  await clock.advance(0)
  want(0, 16)
  await clock.advance(100)
  lane.sent('ns/bot', 0, 20_001)
  await clock.advance(4_000)
  expect(started).toHaveLength(2)
  lane.stop()
})

test('an IDENTIFY that the stream reported counts, although its worker died and nobody answered that it was sent', async () => {
  const { clock, lane, member, source, want, started, slots } = setUp()
  member.register(source)
  await clock.advance(20_000)
  want(0)
  await clock.advance(100)
  lane.sent('ns/bot', 0, 20_050)
  started[0]?.settle({ sentAt: undefined, tooEarly: false })
  want(16)
  await clock.advance(10)
  expect(slots()[1]).toBeGreaterThanOrEqual(20_050 + WINDOW_MS)
  expect(lane.budget?.left).toBe(899)
  lane.stop()
})

test('op 9 asks for session info: max_concurrency may have shrunk. Then everything under way passes first', async () => {
  let maxConcurrency = 16
  const { clock, lane, member, source, want, started, asked, slots } = setUp(() => info({ maxConcurrency }))
  member.register(source)
  await clock.advance(20_000)
  want(0, 1, 2)
  await clock.advance(100)
  maxConcurrency = 1
  started[0]?.settle({ sentAt: 20_000, tooEarly: true })
  await clock.advance(100)
  expect(asked).toHaveLength(2)
  want(3)
  started[1]?.settle({ sentAt: 20_000, tooEarly: false })
  await clock.advance(30_000)
  expect(slots(), 'one of the old wave is still to leave').toHaveLength(3)
  started[2]?.settle({ sentAt: 50_000, tooEarly: false })
  await clock.advance(100)
  expect(slots()[3]).toBeGreaterThanOrEqual(50_000 + WINDOW_MS)
  lane.stop()
})
