import { describe, expect, it } from 'vitest'
import { conditionEvents } from '../../../operator/reconcile/condition-events.ts'
import type { Condition, ConditionType, Reason } from '../../../src/api/conditions.ts'
import { TIME } from './world.ts'

const condition = (type: ConditionType, status: Condition['status'], reason: Reason, message = reason): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: TIME,
  observedGeneration: 1,
})
const events = (before: Condition[], after: Condition[]) =>
  conditionEvents(before, after).map(({ type, reason, action }) => `${type} ${action} ${reason}`)

describe('conditionEvents', () => {
  it.each([
    ['Ready that came true', 'Ready', 'True', 'AllShardsReady', ['Normal Ready AllShardsReady']],
    ['Ready that is false: the others say why', 'Ready', 'False', 'WaitingForWorkers', []],
    ['progress', 'Progressing', 'True', 'IdentifyingShards', ['Normal Progressing IdentifyingShards']],
    ['no more progress', 'Progressing', 'False', 'AsExpected', []],
    ['a degradation', 'Degraded', 'True', 'SinkUnauthorized', ['Warning Degraded SinkUnauthorized']],
    ['a stall', 'Stalled', 'True', 'TokenRejected', ['Warning Stalled TokenRejected']],
    ['a low budget', 'IdentifyBudgetAvailable', 'False', 'BudgetLow', ['Warning IdentifyBudgetAvailable BudgetLow']],
    ['an unknown budget', 'IdentifyBudgetAvailable', 'Unknown', 'BudgetUnknown', []],
  ] as const)('first of all: %s', (_, type, status, reason, expected) => {
    expect(events([], [condition(type, status, reason)])).toEqual(expected)
  })

  it('says nothing when only the message changed', () => {
    const before = condition('Progressing', 'True', 'IdentifyingShards', '8 shards identify.' as Reason)
    expect(events([before], [{ ...before, message: '7 shards identify.' }])).toEqual([])
  })

  it('says another reason, and that trouble is over, once', () => {
    const bad = condition('Degraded', 'True', 'RestProxyUnavailable')
    const worse = condition('Degraded', 'True', 'RestProxyUnauthorized')
    const good = condition('Degraded', 'False', 'AsExpected')
    expect(events([bad], [worse])).toEqual(['Warning Degraded RestProxyUnauthorized'])
    expect(conditionEvents([worse], [good])).toMatchObject([
      { type: 'Normal', note: 'Mended: RestProxyUnauthorized. AsExpected' },
    ])
    expect(events([good], [good])).toEqual([])
  })
})
