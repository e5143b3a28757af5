import { ownerOf, type Range, rangeOf } from '../domain/ranges.ts'
import { type Clock, timeText } from '../support/clock.ts'
import { mostCommonCut } from './cut-off.ts'
import type { Fleet, WorkerFleet } from './fleet.ts'
import type { IdentifyAttempts } from './identify-attempts.ts'
import type { LaneMember } from './lane-member.ts'
import type { Desired } from './ports.ts'
import type { WorkerLink } from './worker-link.ts'

interface Known {
  readonly desired: Desired | undefined
  readonly totalShards: number | undefined
  readonly countProblem: Fleet['countProblem']
  readonly links: ReadonlyMap<number, WorkerLink>
  readonly attempts: IdentifyAttempts
  readonly fatal: Fleet['fatal']
  readonly lane: LaneMember
  readonly clock: Clock
}

/** Failing shards named in a fleet: enough for a message. */
const NAMED = 5

/** Gathers what a manager knows. Linear in the number of shards: ask for it at most every second. */
export function fleetOf(known: Known): Fleet {
  const { desired, totalShards, links, attempts, lane } = known
  const totalWorkers = desired?.totalWorkers ?? 0
  const counts = { waiting: 0, identifying: 0, resuming: 0, misplaced: 0 }
  const ordinals = new Set([...Array(totalWorkers).keys(), ...links.keys()])
  const workers: WorkerFleet[] = []
  for (const ordinal of [...ordinals].sort((a, b) => a - b)) {
    const range = totalShards === undefined ? { first: 0, last: -1 } : rangeOf(ordinal, totalShards, totalWorkers)
    workers.push(
      workerFleet(
        ordinal,
        range,
        links.get(ordinal),
        counts,
        (s) => totalShards !== undefined && ownerOf(s, totalShards, totalWorkers) === ordinal,
      ),
    )
  }
  const failing = [...attempts.all()]
    .map(([shardId, { failures, message }]) => ({ shardId, failures, message }))
    .sort((a, b) => b.failures - a.failures || a.shardId - b.shardId)
    .slice(0, NAMED)
  const now = known.clock.now()
  const tripped = attempts
    .open(now)
    .sort((a, b) => a.until - b.until)
    .slice(0, NAMED)
    .map((open) => ({ ...open, until: timeText(known.clock, open.until) }))
  return {
    totalShards,
    workers,
    tripped,
    cutOff: mostCommonCut(links.values()),
    ready: workers.reduce((sum, { ready }) => sum + ready, 0),
    ...counts,
    fatal: known.fatal,
    countProblem: known.countProblem,
    failing,
    sessionProblem: lane.problem,
    maxConcurrency: lane.maxConcurrency,
    budget: lane.budget,
    shortOfBudget: lane.shortOfBudget && counts.waiting > 0,
    estimatedEnd: counts.waiting > 0 ? lane.estimatedEnd() : undefined,
  }
}

function workerFleet(
  ordinal: number,
  range: Range,
  link: WorkerLink | undefined,
  counts: { waiting: number; identifying: number; resuming: number; misplaced: number },
  owns: (shardId: number) => boolean,
): WorkerFleet {
  let ready = 0
  const view = link?.view
  for (const { shardId, state } of view?.connected ? view.shards.values() : []) {
    if (!owns(shardId)) counts.misplaced++
    else if (state === 'Connected') ready++
    else if (state === 'Unidentified') counts.waiting++
    else if (state === 'Resuming') counts.resuming++
    else if (state !== 'Offline') counts.identifying++
  }
  return {
    ordinal,
    name: link?.ref.name,
    range,
    ready,
    held: view?.held().size ?? 0,
    connected: view?.connected ?? false,
    draining: view?.draining ?? false,
    message: link ? link.lastError : 'it does not run yet',
    sinks: view?.sinks ?? [],
  }
}
