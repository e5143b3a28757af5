import type { Facts } from '../domain/conditions.ts'
import { sizeOf } from '../domain/ranges.ts'
import { type Clock, timeText } from '../support/clock.ts'
import type { Fleet } from './fleet.ts'

/** A fleet as facts for conditions. `userProblem`: what is wrong with the manifest or its Secrets. */
export function factsOf(
  fleet: Fleet,
  { totalWorkers, reserve }: { totalWorkers: number; reserve: number },
  clock: Clock,
  userProblem?: Facts['userProblem'],
): Facts {
  const { estimatedEnd } = fleet
  return {
    ...fleet,
    totalWorkers,
    reserve,
    workers: fleet.workers.map((worker) => ({ ...worker, size: sizeOf(worker.range) })),
    userProblem: userProblem ?? fleet.countProblem,
    estimatedTime: estimatedEnd === undefined ? undefined : timeText(clock, estimatedEnd),
  }
}
