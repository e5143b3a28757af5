import { describe, expect, test } from 'vitest'
import {
  CONDITION_TYPES,
  type Condition,
  type ConditionType,
  conditionSchema,
  REASONS,
} from '../../../src/api/conditions.ts'
import { type Facts, findings, mergeConditions } from '../../../src/domain/conditions.ts'

const worker = (ordinal: number, more = {}): Facts['workers'][number] => ({
  ...{ ordinal, name: `bot-10-${ordinal}`, size: 5, connected: true, message: undefined, sinks: [] },
  ...more,
})

const healthy: Facts = {
  ...{ totalShards: 10, totalWorkers: 2, ready: 10, waiting: 0, identifying: 0, resuming: 0, misplaced: 0 },
  workers: [worker(0), worker(1)],
  ...{ fatal: undefined, userProblem: undefined, sessionProblem: undefined, failing: [] },
  budget: { left: 900, total: 1_000, resetTime: '2026-01-02T00:00:00Z' },
  ...{ reserve: 100, shortOfBudget: false, estimatedTime: undefined },
}

const sink = (state: 'Failing' | 'Unauthorized') => [{ name: 'bot', state, message: 'answered 503' }]
const short = {
  ready: 4,
  waiting: 6,
  shortOfBudget: true,
  budget: { left: 100, total: 1_000, resetTime: '2026-01-02T00:00:00Z' },
}
const proxy = {
  reason: REASONS.RestProxyUnavailable,
  message: 'The REST proxy at http://p did not answer within 10 s.',
}

const tripped = [
  { shardId: 3, identifies: 5, until: '2026-01-01T01:00:00Z' },
  { shardId: 4, identifies: 6, until: '2026-01-01T01:30:00Z' },
]
const OPEN = /^Shard 3 spent 5 IDENTIFYs .*before 2026-01-01T01:00:00Z.*gateway_closes_total.*shardcluster\.dev\/retry/

/** Situation; condition; status; reason; what the message must say. */
const TABLE: [string, Partial<Facts>, ConditionType, Condition['status'], string, RegExp][] = [
  ['healthy', {}, 'Ready', 'True', 'AllShardsReady', /^All 10 shards are connected\.$/],
  ['healthy', {}, 'Progressing', 'False', 'AsExpected', /where it shall be/],
  ['healthy', {}, 'Degraded', 'False', 'AsExpected', /Nothing is wrong/],
  ['healthy', {}, 'Stalled', 'False', 'AsExpected', /./],
  ['healthy', {}, 'IdentifyBudgetAvailable', 'True', 'BudgetAvailable', /900 of 1000.*2026-01-02T00:00:00Z/],
  [
    'nothing known',
    { totalShards: undefined, ready: 0, budget: undefined },
    'Ready',
    'False',
    'WaitingForSessionInfo',
    /REST proxy/,
  ],
  [
    'nothing known',
    { totalShards: undefined, ready: 0, budget: undefined },
    'IdentifyBudgetAvailable',
    'Unknown',
    'BudgetUnknown',
    /not known/,
  ],
  [
    'no session info',
    { totalShards: undefined, ready: 0, sessionProblem: proxy },
    'Ready',
    'False',
    'RestProxyUnavailable',
    /http:\/\/p/,
  ],
  ['REST outage while all run', { sessionProblem: proxy }, 'Ready', 'True', 'AllShardsReady', /10/],
  ['REST outage while all run', { sessionProblem: proxy }, 'Degraded', 'True', 'RestProxyUnavailable', /10 s/],
  [
    'identifying',
    { ready: 4, waiting: 5, identifying: 1, estimatedTime: '2026-01-01T00:07:00Z' },
    'Ready',
    'False',
    'IdentifyingShards',
    /^4 of 10 .* 6 shards identify.*2026-01-01T00:07:00Z/,
  ],
  ['identifying', { ready: 4, waiting: 5, identifying: 1 }, 'Progressing', 'True', 'IdentifyingShards', /6 shards/],
  [
    'short of budget',
    short,
    'Ready',
    'False',
    'WaitingForIdentifyBudget',
    /4 of 10.*6 shards wait: 100 IDENTIFYs are left.*identify\.reserve keeps 100.*2026-01-02T00:00:00Z.*reserve is lowered/,
  ],
  [
    'short of budget',
    short,
    'IdentifyBudgetAvailable',
    'False',
    'BudgetLow',
    /100 of 1000.*100 are kept in reserve and 6 shards wait/,
  ],
  ['short of budget', short, 'Stalled', 'False', 'AsExpected', /./],
  [
    'budget at the reserve',
    { budget: { left: 100, total: 1_000, resetTime: 't' } },
    'IdentifyBudgetAvailable',
    'False',
    'BudgetLow',
    /100 of 1000/,
  ],
  [
    'no pod',
    {
      ready: 5,
      workers: [worker(0), worker(1, { connected: false, name: undefined, message: 'its pod does not run yet' })],
    },
    'Ready',
    'False',
    'WaitingForWorkers',
    /5 of 10.*1 of 2 workers.*worker 1: its pod does not run yet/,
  ],
  [
    'silent worker',
    { ready: 5, workers: [worker(0), worker(1, { connected: false, message: 'silent for 15 s' })] },
    'Ready',
    'False',
    'ConnectingToWorkers',
    /worker 1: silent for 15 s/,
  ],
  ['resuming', { ready: 7, resuming: 3 }, 'Ready', 'False', 'ResumingShards', /3 shards resume/],
  [
    'resuming',
    { ready: 7, resuming: 3 },
    'Progressing',
    'True',
    'ResumingShards',
    /^3 shards .*their worker took them up/,
  ],
  [
    'one resumes',
    { ready: 9, resuming: 1 },
    'Ready',
    'False',
    'ResumingShards',
    /9 of 10.* 1 shard resumes its session:/,
  ],
  [
    'cut off',
    { ready: 2, resuming: 8, cutOff: { shards: 7, reason: 'close 1001' } },
    'Ready',
    'False',
    'ResumingShards',
    /8 shards resume their sessions; of 7 the connection was cut off \(close 1001\)\.$/,
  ],
  ['a breaker is open', { ready: 9, waiting: 1, tripped }, 'Degraded', 'True', 'IdentifyCircuitOpen', OPEN],
  ['a breaker is open', { ready: 9, waiting: 1, tripped }, 'Ready', 'False', 'IdentifyingShards', /1 shards identify/],
  ['a breaker is open', { ready: 9, waiting: 1, tripped }, 'Stalled', 'False', 'AsExpected', /./],
  [
    'a breaker is open, and shards fail',
    { tripped, failing: [{ shardId: 7, failures: 3, message: 'x' }] },
    'Degraded',
    'True',
    'IdentifyCircuitOpen',
    /Shard 3/,
  ],
  [
    'a breaker is open while a sink is away',
    { tripped, workers: [worker(0, { sinks: sink('Failing') })] },
    'Degraded',
    'True',
    'SinkUnavailable',
    /bot/,
  ],
  ['moving', { ready: 7, misplaced: 3 }, 'Ready', 'False', 'MovingShards', /7 of 10.*3 shards move/],
  ['a set not taken in', { unsettled: true }, 'Reconciling', 'True', 'WaitingForWorkers', /StatefulSet is being/],
  [
    'a worker that leaves',
    { workers: [worker(0), worker(1), worker(2, { size: 0 })] },
    'Reconciling',
    'True',
    'WaitingForWorkers',
    /^1 worker ends; pod bot-10-2 still runs/,
  ],
  [
    'pods that are being deleted',
    { workers: [worker(0, { ending: true }), worker(1, { ending: true })] },
    'Reconciling',
    'True',
    'WaitingForWorkers',
    /^2 workers end; pod bot-10-0 still runs/,
  ],
  ['moving the last', { misplaced: 1 }, 'Progressing', 'True', 'MovingShards', /1 shards/],
  [
    'sink away',
    { workers: [worker(0, { sinks: sink('Failing') })] },
    'Degraded',
    'True',
    'SinkUnavailable',
    /Sink bot of worker bot-10-0: answered 503.*nothing is dropped/,
  ],
  [
    'sink refuses',
    { workers: [worker(0, { sinks: sink('Unauthorized') })] },
    'Degraded',
    'True',
    'SinkUnauthorized',
    /bot/,
  ],
  [
    'shard fails',
    { failing: [{ shardId: 7, failures: 3, message: 'INVALID_SESSION' }] },
    'Degraded',
    'True',
    'ShardsFailing',
    /shard 7, 3 times in a row: INVALID_SESSION/,
  ],
  [
    'bad manifest',
    { ready: 0, userProblem: { reason: 'TooManyShards', message: 'Raise totalWorkers to 11.' } },
    'Stalled',
    'True',
    'TooManyShards',
    /totalWorkers to 11/,
  ],
  [
    'bad manifest, all run',
    { userProblem: { reason: 'TooManyShards', message: 'Raise totalWorkers.' } },
    'Ready',
    'False',
    'TooManyShards',
    /10 of 10.*Raise/,
  ],
  [
    'bad manifest',
    { ready: 0, userProblem: { reason: 'SecretNotFound', message: 'x' } },
    'Progressing',
    'False',
    'SecretNotFound',
    /mended/,
  ],
  [
    'token rejected by REST',
    { ready: 0, sessionProblem: { reason: 'TokenRejected', message: 'Put the token' } },
    'Stalled',
    'True',
    'TokenRejected',
    /Put the token/,
  ],
  ...(
    [
      [4004, 'TokenRejected', /4004.*tokenSecretRef/],
      [4010, 'IllegalShardCount', /4010.*gateway\.shardMultiple/],
      [4011, 'ShardingRequired', /4011.*Raise totalShards/],
      [4012, 'UnsupportedGatewayVersion', /4012.*gateway\.version to 10/],
      [4013, 'InvalidIntents', /4013.*gateway\.intents/],
      [4014, 'DisallowedIntents', /4014.*developer portal/],
    ] as const
  ).map(([closeCode, reason, message]): (typeof TABLE)[number] => [
    ...([
      `close ${closeCode}`,
      { ready: 3, waiting: 7, fatal: { closeCode, shardId: 12 } },
      'Stalled',
      'True',
      reason,
    ] as const),
    new RegExp(`${message.source}.*Shard 12`),
  ]),
  ['a close code that is not fatal', { fatal: { closeCode: 4000, shardId: 1 } }, 'Stalled', 'False', 'AsExpected', /./],
]

test.each(TABLE)('%s: %o: %s is %s because %s', (_, facts, type, status, reason, message) => {
  const found = findings({ ...healthy, ...facts })[type]
  expect(found).toMatchObject({ status, reason })
  expect(found.message).toMatch(message)
})

test('every finding is a legal condition, whatever the situation', () => {
  for (const [, facts] of TABLE)
    for (const condition of mergeConditions([], findings({ ...healthy, ...facts }), 1, '2026-01-01T00:00:00Z')) {
      expect(conditionSchema.safeParse(condition).success).toBe(true)
      expect(Object.values(REASONS)).toContain(condition.reason)
    }
})

describe('mergeConditions', () => {
  const [earlier, later] = ['2026-01-01T00:00:00Z', '2026-01-01T00:05:00Z']
  const first = mergeConditions([], findings({ ...healthy, ready: 4, waiting: 6 }), 1, earlier)
  const times = (conditions: Condition[]) => Object.fromEntries(conditions.map((c) => [c.type, c.lastTransitionTime]))

  test('writes every condition on the first visit', () => {
    expect(first.map(({ type }) => type)).toEqual([...CONDITION_TYPES])
  })
  test('moves lastTransitionTime only with the status, not with reason, message or generation', () => {
    const same = mergeConditions(first, findings({ ...healthy, ready: 5, resuming: 5 }), 2, later)
    expect(times(same)).toEqual(times(first))
    expect(same.find(({ type }) => type === 'Ready')).toMatchObject({ reason: 'ResumingShards', observedGeneration: 2 })
  })
  test('a status that changes moves its own time and no other', () => {
    const ready = mergeConditions(first, findings(healthy), 2, later)
    expect(times(ready)).toEqual({ ...times(first), Ready: later, Progressing: later, Reconciling: later })
  })
})
