import type { z } from 'zod'
import { type ShardClusterStatus, statusSchema } from '../../src/api/status.ts'
import { type Facts, findings, mergeConditions } from '../../src/domain/conditions.ts'
import type { StoredObject } from '../kube/objects.ts'
import { type ConditionEvent, conditionEvents } from './condition-events.ts'

const NOTHING_KNOWN: Facts = {
  totalShards: undefined,
  totalWorkers: 0,
  ready: 0,
  waiting: 0,
  identifying: 0,
  resuming: 0,
  misplaced: 0,
  workers: [],
  fatal: undefined,
  userProblem: undefined,
  sessionProblem: undefined,
  failing: [],
  budget: undefined,
  reserve: 0,
  shortOfBudget: false,
  estimatedTime: undefined,
}

/**
 * The status of a ShardCluster that passed the API server and does not fit this operator: the CRD is of another
 * version. `time`: RFC 3339.
 */
export function statusOfInvalid(
  stored: StoredObject & { readonly status?: unknown },
  error: z.ZodError,
  time: string,
): { status: ShardClusterStatus; events: ConditionEvent[] } {
  const before = statusSchema.safeParse(stored.status ?? {})
  const known = before.success ? before.data : {}
  const { generation = 0 } = stored.metadata
  const wrong = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).slice(0, 5)
  const userProblem = {
    reason: 'InvalidSpec' as const,
    message: `This operator cannot read it: ${wrong.join('; ')}. Correct the manifest, or install the CRD that came with this operator.`,
  }
  const found = findings({ ...NOTHING_KNOWN, userProblem })
  const conditions = mergeConditions(known.conditions ?? [], found, generation, time)
  return {
    status: { ...known, observedGeneration: generation, conditions },
    events: conditionEvents(known.conditions ?? [], conditions),
  }
}
