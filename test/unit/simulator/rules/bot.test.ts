import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BotRules, type BotRulesOptions, CloseCode, type Session } from '../../../../src/simulator/rules/index.ts'
import { ManualClock } from '../manual-clock.ts'

interface Connection {
  readonly name: string
}

const OPTIONS: BotRulesOptions = {
  maxConcurrency: 1,
  identifyWindowMs: 5000,
  sessionStartTotal: 1000,
  sessionStartWindowMs: 86_400_000,
  sessionLifetimeMs: 90_000,
  replayCapacity: 10,
  shardMultiple: 1,
  requiredShards: 0,
  disallowedIntents: 0,
  keepViolations: 10,
}

function bot(options: Partial<BotRulesOptions> = {}) {
  const clock = new ManualClock()
  let ids = 0
  return { clock, rules: new BotRules<Connection>({ ...OPTIONS, ...options }, clock, () => `session-${++ids}`) }
}

function identify(rules: BotRules<Connection>, shard: readonly [number, number], connection: Connection) {
  const outcome = rules.identify(connection, { shard, intents: 1 })
  if (outcome.kind !== 'ready') throw new Error(`refused: ${JSON.stringify(outcome)}`)
  return outcome.session
}

const connection = (name = 'a'): Connection => ({ name })

test('an early IDENTIFY is an invalid session, a violation with the shard in it, and still spends a start', () => {
  const { rules, clock } = bot()
  identify(rules, [0, 2], connection())
  clock.advance(4000)
  expect(rules.identify(connection(), { shard: [1, 2], intents: 1 })).toEqual({ kind: 'invalid-session' })
  expect(rules.violations.counts.bucket).toBe(1)
  expect(rules.violations.newest[0]).toMatchObject({ kind: 'bucket', shard: [1, 2] })
  expect(rules.startLimit.remaining).toBe(998)
  expect(Object.fromEntries(rules.identifiesByShard)).toEqual({ '0/2': 1, '1/2': 1 })
})

test('overspending the day resets the token: all sessions end, all connections close, nothing works again', () => {
  const { rules, clock } = bot({ sessionStartTotal: 2 })
  const [first, second, third] = [connection('a'), connection('b'), connection('c')]
  const session = identify(rules, [0, 3], first)
  clock.advance(5000)
  identify(rules, [1, 3], second)
  clock.advance(5000)
  const outcome = rules.identify(third, { shard: [2, 3], intents: 1 })
  expect(outcome).toEqual({ kind: 'token-reset', connections: [first, second] })
  expect(rules.violations.counts.startLimit).toBe(1)
  expect(rules.sessions.size).toBe(0)
  expect(rules.resume(first, { sessionId: session.id, seq: 0 })).toEqual({ kind: 'close', code: 4004 })
  expect(rules.identify(first, { shard: [0, 3], intents: 1 })).toEqual({ kind: 'close', code: 4004 })
})

test.each([
  ['an id beyond the total', { shard: [4, 4] as const, intents: 1 }, {}, CloseCode.InvalidShard],
  ['a negative id', { shard: [-1, 4] as const, intents: 1 }, {}, CloseCode.InvalidShard],
  ['a broken id', { shard: [0.5, 4] as const, intents: 1 }, {}, CloseCode.InvalidShard],
  ['a total that is not a multiple', { shard: [0, 40] as const, intents: 1 }, { shardMultiple: 16 }, 4010],
  ['too few shards', { shard: [0, 4] as const, intents: 1 }, { requiredShards: 8 }, CloseCode.ShardingRequired],
  ['no shard at all', { shard: undefined, intents: 1 }, { requiredShards: 8 }, CloseCode.ShardingRequired],
  ['an unknown intent', { shard: [0, 4] as const, intents: 1 << 17 }, {}, CloseCode.InvalidIntents],
  ['a negative intent', { shard: [0, 4] as const, intents: -1 }, {}, CloseCode.InvalidIntents],
  [
    'a disallowed intent',
    { shard: [0, 4] as const, intents: 3 },
    { disallowedIntents: 2 },
    CloseCode.DisallowedIntents,
  ],
])('%s is closed', (_name, request, options, code) => {
  const { rules } = bot(options)
  expect(rules.identify(connection(), request)).toEqual({ kind: 'close', code })
  expect(rules.sessions.size).toBe(0)
})

test('a legal multiple, all known intents and no shard for a small bot are fine', () => {
  const { rules, clock } = bot({ shardMultiple: 16 })
  expect(rules.identify(connection(), { shard: [47, 48], intents: 0x331_ffff }).kind).toBe('ready')
  const small = bot()
  expect(small.rules.identify(connection(), { shard: undefined, intents: 0 }).kind).toBe('ready')
  clock.advance(1)
})

test('a session survives a lost connection for its lifetime and not a millisecond longer', () => {
  const { rules, clock } = bot()
  const first = connection()
  const session = identify(rules, [0, 1], first)
  session.log.append(0, 0, 0)
  session.log.append(1, 1, 0)
  rules.disconnected(session, first, 4000, 'client')
  clock.advance(89_999)
  rules.sweep()
  const second = connection('b')
  expect(rules.resume(second, { sessionId: session.id, seq: 1 })).toEqual({ kind: 'resumed', session, replayed: 1 })
  rules.disconnected(session, second, 1006, 'client')
  clock.advance(90_000)
  expect(rules.resume(first, { sessionId: session.id, seq: 2 })).toEqual({ kind: 'invalid-session' })
  expect(rules.counts).toMatchObject({ resumes: 1, resumesRefused: 1, replayedEvents: 1 })
  expect(rules.startLimit.remaining).toBe(999)
})

test('the sweep forgets what nobody resumed, and counts it', () => {
  const { rules, clock } = bot()
  const first = connection()
  rules.disconnected(identify(rules, [0, 1], first), first, 4000, 'client')
  clock.advance(90_000)
  rules.sweep()
  expect(rules.sessions.size).toBe(0)
  expect(rules.counts.sessionsExpired).toBe(1)
})

test.each([1000, 1001])('a client that closes with %i has ended its session', (code) => {
  const { rules } = bot()
  const first = connection()
  const session = identify(rules, [0, 1], first)
  rules.disconnected(session, first, code, 'client')
  expect(rules.resume(connection(), { sessionId: session.id, seq: 0 })).toEqual({ kind: 'invalid-session' })
})

test('Discord closing with 1001 leaves the session, with 4009 it does not', () => {
  for (const [code, kind] of [
    [1001, 'resumed'],
    [4009, 'invalid-session'],
  ] as const) {
    const { rules } = bot()
    const first = connection()
    const session = identify(rules, [0, 1], first)
    rules.disconnected(session, first, code, 'discord')
    expect(rules.resume(connection(), { sessionId: session.id, seq: 0 }).kind).toBe(kind)
  }
})

test('a sequence from the future is closed with 4007, one from before the replay buffer is an invalid session', () => {
  const { rules } = bot()
  const first = connection()
  const session = identify(rules, [0, 1], first)
  for (let i = 0; i < 15; i += 1) session.log.append(0, 0, 0)
  expect(rules.resume(first, { sessionId: session.id, seq: 16 })).toEqual({ kind: 'close', code: 4007 })
  expect(rules.resume(first, { sessionId: session.id, seq: 4 })).toEqual({ kind: 'invalid-session' })
  expect(rules.resume(first, { sessionId: session.id, seq: 5 })).toMatchObject({ kind: 'resumed', replayed: 10 })
})

test('a RESUME takes a session over from a connection that is still there; the old one closing changes nothing', () => {
  const { rules } = bot()
  const [first, second] = [connection('a'), connection('b')]
  const session = identify(rules, [0, 1], first)
  expect(rules.resume(second, { sessionId: session.id, seq: 0 })).toMatchObject({ superseded: first })
  rules.disconnected(session, first, 1000, 'client')
  expect(session.connection).toBe(second)
  expect(rules.violations.counts.doubleOwner).toBe(0)
})

test('two live sessions of one shard are a double owner; the same shard id of another total is not', () => {
  const { rules, clock } = bot()
  identify(rules, [0, 2], connection('a'))
  clock.advance(5000)
  identify(rules, [0, 4], connection('b'))
  expect(rules.violations.counts.doubleOwner).toBe(0)
  clock.advance(5000)
  identify(rules, [0, 2], connection('c'))
  expect(rules.violations.counts.doubleOwner).toBe(1)
  expect(rules.violations.newest.at(-1)).toMatchObject({ kind: 'doubleOwner', shard: [0, 2] })
})

test('resuming an old session beside a live new one is a double owner too', () => {
  const { rules, clock } = bot()
  const first = connection('a')
  const old = identify(rules, [0, 2], first)
  rules.disconnected(old, first, 4000, 'client')
  clock.advance(5000)
  identify(rules, [0, 2], connection('b'))
  expect(rules.violations.counts.doubleOwner).toBe(0)
  rules.resume(connection('c'), { sessionId: old.id, seq: 0 })
  expect(rules.violations.counts.doubleOwner).toBe(1)
})

test('property: whatever a bot does, starts spent = IDENTIFYs seen, and every session has one connection at most', () => {
  const action = fc.record({
    kind: fc.constantFrom('identify', 'resume', 'drop', 'end', 'sweep'),
    shard: fc.integer({ min: 0, max: 3 }),
    wait: fc.integer({ min: 0, max: 40_000 }),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { rules, clock } = bot({ sessionLifetimeMs: 60_000 })
      const known: Session<Connection>[] = []
      for (const { kind, shard, wait } of actions) {
        clock.advance(wait)
        const target = known[shard % Math.max(1, known.length)]
        if (kind === 'identify') {
          const outcome = rules.identify(connection(), { shard: [shard, 4], intents: 1 })
          if (outcome.kind === 'ready') known.push(outcome.session)
        }
        if (kind === 'resume' && target !== undefined) {
          const outcome = rules.resume(connection(), { sessionId: target.id, seq: target.log.last })
          expect(outcome.kind).toBe(target.ended ? 'invalid-session' : 'resumed')
        }
        if (kind === 'sweep') rules.sweep()
        const code = kind === 'drop' ? 4000 : 1000
        if ((kind === 'drop' || kind === 'end') && target?.connection !== undefined) {
          rules.disconnected(target, target.connection, code, 'client')
        }
      }
      expect(1000 - rules.startLimit.remaining).toBe(rules.counts.identifies)
      expect(rules.counts.readies).toBe(rules.counts.identifies - rules.violations.counts.bucket)
      for (const session of rules.sessions.all()) expect(session.shard.sessions.has(session)).toBe(true)
      const resumable = known.filter(({ ended }) => !ended)
      expect(rules.sessions.size).toBe(resumable.length)
    }),
  )
})
