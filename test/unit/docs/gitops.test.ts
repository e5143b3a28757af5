import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { LuaFactory } from 'wasmoon'
import { parse } from 'yaml'
import type { Condition, ConditionType } from '../../../src/api/conditions.ts'
import { type Kstatus, type KstatusObject, kstatus } from '../../support/kstatus.ts'

const text = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'gitops.md'), 'utf8')
const config = /^```yaml\n(data:\n[\s\S]*?)```$/m.exec(text)?.[1] ?? ''
const { data } = parse(config) as { data: Record<string, string> }
const script = data['resource.customizations.health.shardcluster.dev_ShardCluster'] ?? ''

const factory = new LuaFactory()
const ended: (() => void)[] = []
afterEach(() => {
  for (const end of ended.splice(0)) end()
})

/** What Argo CD makes of an object with the script of docs/gitops.md. */
async function argo(object: KstatusObject): Promise<{ status: string; message?: string }> {
  const lua = await factory.createEngine()
  ended.push(() => lua.global.close())
  lua.global.set('obj', object)
  return await lua.doString(script)
}

const condition = (type: ConditionType, status: Condition['status']): Condition => ({
  ...{ type, status, reason: 'AsExpected', message: `${type} is ${status}` },
  ...{ observedGeneration: 3, lastTransitionTime: '2026-01-01T00:00:00Z' },
})
const object = (observedGeneration: number, ...trues: ConditionType[]): KstatusObject => ({
  metadata: { generation: 3 },
  status: {
    observedGeneration,
    conditions: (['Ready', 'Progressing', 'Degraded', 'Stalled', 'Reconciling'] as const).map((type) =>
      condition(type, trues.includes(type) ? 'True' : 'False'),
    ),
  },
})

const TABLE: readonly [string, KstatusObject, Kstatus, string, RegExp][] = [
  [
    'no operator has looked at',
    { metadata: { generation: 1 }, status: { observedGeneration: 0 } },
    'InProgress',
    'Progressing',
    /operator/,
  ],
  ['an older generation was Ready of', object(2, 'Ready'), 'InProgress', 'Progressing', /operator/],
  ['starts', object(3, 'Progressing', 'Reconciling'), 'InProgress', 'Progressing', /Reconciling is True/],
  [
    'starts before its REST proxy',
    object(3, 'Degraded', 'Progressing', 'Reconciling'),
    'InProgress',
    'Progressing',
    /Reconciling is True/,
  ],
  ['is Ready', object(3, 'Ready'), 'Current', 'Healthy', /Ready is True/],
  [
    'is Ready and rolls out',
    object(3, 'Ready', 'Progressing', 'Reconciling'),
    'InProgress',
    'Progressing',
    /Reconciling is True/,
  ],
  ['is Ready, and a sink fails of', object(3, 'Ready', 'Degraded'), 'Current', 'Degraded', /Degraded is True/],
  ['cannot go on', object(3, 'Stalled'), 'Failed', 'Degraded', /Stalled is True/],
  ['cannot go on, and runs', object(3, 'Ready', 'Stalled'), 'Failed', 'Degraded', /Stalled is True/],
]

describe('a ShardCluster that', () => {
  it.each(TABLE)('%s', async (_, seen, flux, argoStatus, message) => {
    expect(kstatus(seen)).toBe(flux)
    const found = await argo(seen)
    expect(found.status).toBe(argoStatus)
    expect(found.message).toMatch(message)
  })
})
