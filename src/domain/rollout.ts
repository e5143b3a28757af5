/**
 * Which worker is replaced next when the pod template has changed.
 *
 * Steps: (1) workers whose pod is of an older template are outdated; (2) one that does not work anyway goes at once:
 * that is how a bad image is mended by a good one; (3) of the others the highest ordinal is next, if every predicate
 * allows it; the first that does not is the reason that status shows.
 *
 * Properties: at most one worker is away at a time; none goes while a shard is not connected, so a template that does
 * not come up stops at the first worker; the choice depends on nothing but what is seen, so that looking twice at the
 * same chooses the same.
 */

/**
 * Any value of it but `false` holds a rollout where it is; scaling, resuming and identifying go on:
 * `kubectl annotate shc/bot shardcluster.dev/pause-rollout=true`, and `shardcluster.dev/pause-rollout-` to go on.
 */
export const PAUSE_ROLLOUT_ANNOTATION = 'shardcluster.dev/pause-rollout'

export interface RolloutWorker {
  readonly ordinal: number
  /** Its pod is of an older template than the StatefulSet's present one. */
  readonly outdated: boolean
  readonly terminating: boolean
  /** Its container runs and its state stream is open. */
  readonly working: boolean
}

export interface RolloutFacts {
  /** The user wants no worker replaced for now, not even one that does not work. */
  readonly paused: boolean
  /** The StatefulSet controller has seen the present template. */
  readonly settled: boolean
  readonly totalWorkers: number
  readonly workers: readonly RolloutWorker[]
  readonly totalShards: number
  /** Shards that are connected on the worker that shall hold them. */
  readonly ready: number
  readonly misplaced: number
}

export interface Rollout {
  /** Workers that are still to be replaced. */
  readonly outdated: number
  /** The one that goes now. */
  readonly next: number | undefined
  /** Why none goes now, and which predicate says so. */
  readonly held: { readonly predicate: string; readonly message: string } | undefined
}

type Predicate = readonly [name: string, holds: (facts: RolloutFacts) => string | undefined]

/** Each answers why no worker may go now, or nothing. */
const PREDICATES: readonly Predicate[] = [
  [
    'rollout_is_not_paused',
    ({ paused }) => (paused ? `paused by the annotation ${PAUSE_ROLLOUT_ANNOTATION}` : undefined),
  ],
  ['template_is_settled', ({ settled }) => (settled ? undefined : 'the new template is being taken in')],
  [
    'no_worker_is_away',
    ({ workers, totalWorkers }) => {
      const leaving = workers.find(({ terminating }) => terminating)
      if (leaving) return `worker ${leaving.ordinal} is being replaced`
      const there = new Set(workers.filter(({ working }) => working).map(({ ordinal }) => ordinal))
      const missing = Array.from({ length: totalWorkers }, (_, ordinal) => ordinal).find(
        (ordinal) => !there.has(ordinal),
      )
      return missing === undefined ? undefined : `worker ${missing} is not back yet`
    },
  ],
  [
    'every_shard_is_connected',
    ({ ready, totalShards }) => (ready === totalShards ? undefined : `${totalShards - ready} shards are not connected`),
  ],
  ['no_shard_moves', ({ misplaced }) => (misplaced === 0 ? undefined : `${misplaced} shards move to another worker`)],
]

/** What to do about outdated workers; undefined when there are none. */
export function planRollout(facts: RolloutFacts): Rollout | undefined {
  const outdated = facts.workers.filter((worker) => worker.outdated && !worker.terminating)
  const replaced = facts.workers.some(({ terminating }) => terminating)
  if (outdated.length === 0) return undefined
  const { length } = outdated
  const broken = outdated.find(({ working }) => !working)
  if (broken && facts.settled && !replaced && !facts.paused)
    return { outdated: length, next: broken.ordinal, held: undefined }
  for (const [predicate, why] of PREDICATES) {
    const message = why(facts)
    if (message !== undefined) return { outdated: length, next: undefined, held: { predicate, message } }
  }
  return { outdated: length, next: Math.max(...outdated.map(({ ordinal }) => ordinal)), held: undefined }
}
