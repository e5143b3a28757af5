import type { Condition, ConditionType, Reason } from '../api/conditions.ts'
import { CONDITION_TYPES } from '../api/conditions.ts'
import { MAX_FOREIGN_TEXT } from '../limits.ts'
import { foreignText } from '../support/text.ts'
import { fatalClose } from './fatal-close.ts'
import type { Rollout } from './rollout.ts'

/** What conditions are made of: plain facts, gathered by whoever runs the manager. */
export interface Facts {
  readonly totalShards: number | undefined
  readonly totalWorkers: number
  readonly ready: number
  readonly waiting: number
  readonly identifying: number
  readonly resuming: number
  readonly misplaced: number
  readonly workers: readonly {
    readonly ordinal: number
    readonly name: string | undefined
    readonly size: number
    readonly connected: boolean
    /** Its pod is being deleted. */
    readonly ending?: boolean
    readonly message: string | undefined
    readonly sinks: readonly {
      readonly name: string
      readonly state: 'Flowing' | 'Failing' | 'Unauthorized'
      readonly message?: string | undefined
    }[]
  }[]
  readonly fatal: { readonly closeCode: number; readonly shardId: number } | undefined
  /** Something in the manifest, or in what it refers to, that only the user can mend. */
  readonly userProblem: { readonly reason: Reason; readonly message: string } | undefined
  readonly sessionProblem: { readonly reason: Reason; readonly message: string } | undefined
  readonly failing: readonly { readonly shardId: number; readonly failures: number; readonly message: string }[]
  /** Shards whose circuit breaker is open. */
  readonly tripped?: readonly { readonly shardId: number; readonly identifies: number; readonly until: string }[]
  /** Shards that resume because their connections were cut off. */
  readonly cutOff?: { readonly shards: number; readonly reason: string } | undefined
  readonly budget: { readonly left: number; readonly total: number; readonly resetTime: string } | undefined
  readonly reserve: number
  readonly shortOfBudget: boolean
  /** Workers that are of an older pod template, and what is done about them. */
  readonly rollout?: Rollout | undefined
  /** The workers' StatefulSet is not yet what was asked for, or its controller has not looked at it. */
  readonly unsettled?: boolean
  /** RFC 3339; when the last waiting shard will have identified. */
  readonly estimatedTime: string | undefined
}

/** A condition without its times. */
export interface Finding {
  readonly status: Condition['status']
  readonly reason: Reason
  readonly message: string
}

/**
 * Every condition, from the facts alone. Messages are cut to MAX_FOREIGN_TEXT characters: some of them repeat what a
 * worker, a sink or the API server said.
 */
export function findings(facts: Facts): Record<ConditionType, Finding> {
  const found = whole(facts)
  for (const type of CONDITION_TYPES) found[type] = { ...found[type], message: foreignText(found[type].message) }
  return found
}

function whole(facts: Facts): Record<ConditionType, Finding> {
  const stalled = findStalled(facts)
  const progressing = findProgressing(facts, stalled)
  return {
    Ready: findReady(facts, stalled),
    Progressing: progressing,
    Degraded: findDegraded(facts),
    Stalled: stalled,
    Reconciling: progressing,
    IdentifyBudgetAvailable: findBudget(facts),
  }
}

/** Merges findings into the conditions there were; `lastTransitionTime` moves only when a status does. */
export function mergeConditions(
  before: readonly Condition[],
  found: Record<ConditionType, Finding>,
  observedGeneration: number,
  time: string,
): Condition[] {
  return CONDITION_TYPES.map((type) => {
    const known = before.find((condition) => condition.type === type)
    const { status, reason, message } = found[type]
    const lastTransitionTime = known?.status === status ? known.lastTransitionTime : time
    return { type, status, observedGeneration, lastTransitionTime, reason, message }
  })
}

/** Foreign words within a message: what is said after them must not be cut off. */
const said = (text: string): string => foreignText(text, MAX_FOREIGN_TEXT / 2)

function findStalled({ userProblem, fatal, sessionProblem }: Facts): Finding {
  if (userProblem) return { status: 'True', ...userProblem }
  const close = fatal && fatalClose(fatal.closeCode)
  if (close)
    return {
      status: 'True',
      reason: close.reason,
      message: `${close.message} Shard ${fatal.shardId} was turned away; shards that run go on, none identifies.`,
    }
  if (sessionProblem?.reason === 'TokenRejected' || sessionProblem?.reason === 'GatewayNotAllowed')
    return { status: 'True', ...sessionProblem }
  return { status: 'False', reason: 'AsExpected', message: 'Nothing waits for a correction.' }
}

function findReady(facts: Facts, stalled: Finding): Finding {
  const { totalShards, ready } = facts
  if (totalShards !== undefined && ready === totalShards && !facts.userProblem)
    return { status: 'True', reason: 'AllShardsReady', message: `All ${totalShards} shards are connected.` }
  const so = totalShards === undefined ? '' : `${ready} of ${totalShards} shards are connected. `
  if (stalled.status === 'True') return { status: 'False', reason: stalled.reason, message: so + stalled.message }
  const next = nextStep(facts)
  return { status: 'False', reason: next.reason, message: so + next.message }
}

function findProgressing(facts: Facts, stalled: Finding): Finding {
  if (stalled.status === 'True')
    return { status: 'False', reason: stalled.reason, message: 'Nothing goes on until the problem is mended.' }
  if (facts.rollout) return { status: 'True', ...rollingOut(facts.rollout, facts.totalWorkers) }
  if (facts.totalShards === undefined || facts.ready < facts.totalShards || facts.misplaced > 0)
    return { status: 'True', ...nextStep(facts) }
  const awaited = awaitedOfPods(facts)
  if (awaited) return { status: 'True', reason: 'WaitingForWorkers', message: awaited }
  return { status: 'False', reason: 'AsExpected', message: 'Everything is where it shall be.' }
}

/** Every shard is in its place, and yet it would be premature to say that all is done. */
function awaitedOfPods({ unsettled, workers, totalWorkers }: Facts): string | undefined {
  // Which pods are of an older template, nobody knows before.
  if (unsettled) return 'The StatefulSet is being brought up to date.'
  const ending = workers.filter(
    ({ ordinal, name, ending }) => name !== undefined && (ending || ordinal >= totalWorkers),
  )
  const [first] = ending
  if (!first) return undefined
  return `${ending.length === 1 ? '1 worker ends' : `${ending.length} workers end`}; pod ${first.name} still runs.`
}

function rollingOut({ outdated, next, held }: Rollout, totalWorkers: number): { reason: Reason; message: string } {
  const so = `${outdated} of ${totalWorkers} workers are still of the template before. `
  const now =
    next === undefined
      ? `None is replaced now: ${held?.message} (${held?.predicate}).`
      : `Worker ${next} is replaced now.`
  return { reason: 'RollingOut', message: so + now }
}

/** What is being waited for, the most telling first. */
function nextStep(facts: Facts): { reason: Reason; message: string } {
  const { totalShards, waiting, identifying, resuming, misplaced } = facts
  if (facts.sessionProblem && totalShards === undefined) return facts.sessionProblem
  if (totalShards === undefined)
    return { reason: 'WaitingForSessionInfo', message: 'Asking the REST proxy for the session info.' }
  if (facts.shortOfBudget && facts.budget) {
    const { left, resetTime } = facts.budget
    return {
      reason: 'WaitingForIdentifyBudget',
      message: `${waiting} shards wait: ${left} IDENTIFYs are left today and identify.reserve keeps ${facts.reserve}. They go on at ${resetTime}, or at once when identify.reserve is lowered.`,
    }
  }
  const missing = facts.workers.filter(
    ({ connected, size, ordinal }) => !connected && size > 0 && ordinal < facts.totalWorkers,
  )
  if (waiting + identifying > 0) {
    const until = facts.estimatedTime ? `, the last at about ${facts.estimatedTime}` : ''
    return { reason: 'IdentifyingShards', message: `${waiting + identifying} shards identify${until}.` }
  }
  if (missing.length > 0) {
    const [first] = missing
    const reason: Reason = first?.name ? 'ConnectingToWorkers' : 'WaitingForWorkers'
    return {
      reason,
      message: `${missing.length} of ${facts.totalWorkers} workers do not answer; worker ${first?.ordinal}: ${said(first?.message ?? 'starting')}.`,
    }
  }
  if (resuming > 0) return { reason: 'ResumingShards', message: resumingMessage(facts) }
  if (misplaced > 0) return { reason: 'MovingShards', message: `${misplaced} shards move to another worker.` }
  return { reason: 'ConnectingToWorkers', message: 'Waiting for what the workers report.' }
}

/** A mass disconnect and a pod that began anew look alike in the numbers, and call for different people. */
function resumingMessage({ resuming, cutOff }: Facts): string {
  const so = `${resuming} ${resuming === 1 ? 'shard resumes its session' : 'shards resume their sessions'}`
  if (!cutOff) return `${so}: their worker took them up.`
  return `${so}; of ${cutOff.shards} the connection was cut off (${cutOff.reason}).`
}

function findDegraded(facts: Facts): Finding {
  for (const { ordinal, name, sinks } of facts.workers) {
    const bad = sinks.find(({ state }) => state !== 'Flowing')
    if (!bad) continue
    const reason: Reason = bad.state === 'Unauthorized' ? 'SinkUnauthorized' : 'SinkUnavailable'
    return {
      status: 'True',
      reason,
      message: `Sink ${bad.name} of worker ${name ?? ordinal}: ${said(bad.message ?? bad.state)}. Events are kept; nothing is dropped.`,
    }
  }
  if (facts.sessionProblem) return { status: 'True', ...facts.sessionProblem }
  const [tripped] = facts.tripped ?? []
  if (tripped) {
    return {
      status: 'True',
      reason: 'IdentifyCircuitOpen',
      message: `Shard ${tripped.shardId} spent ${tripped.identifies} IDENTIFYs within an hour and loses its session again and again: it gets no more before ${tripped.until}. Look at what closes it (the worker's log, gateway_closes_total); annotate the ShardCluster with shardcluster.dev/retry to try at once.`,
    }
  }
  const [worst] = facts.failing
  if (worst) {
    return {
      status: 'True',
      reason: 'ShardsFailing',
      message: `${facts.failing.length === 1 ? 'A shard fails' : 'Several shards fail'} to identify; shard ${worst.shardId}, ${worst.failures} times in a row: ${said(worst.message)}`,
    }
  }
  return { status: 'False', reason: 'AsExpected', message: 'Nothing is wrong.' }
}

function findBudget({ budget, reserve, waiting, shortOfBudget }: Facts): Finding {
  if (!budget)
    return { status: 'Unknown', reason: 'BudgetUnknown', message: 'The session start limit is not known yet.' }
  const so = `${budget.left} of ${budget.total} IDENTIFYs are left until ${budget.resetTime}`
  if (shortOfBudget || budget.left <= reserve)
    return {
      status: 'False',
      reason: 'BudgetLow',
      message: `${so}; ${reserve} are kept in reserve${waiting > 0 ? ` and ${waiting} shards wait` : ''}.`,
    }
  return { status: 'True', reason: 'BudgetAvailable', message: `${so}.` }
}
