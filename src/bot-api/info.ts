import { type Clock, timeText } from '../support/clock.ts'
import type { ClusterAnswer, ShardAnswer } from './schemas.ts'
import type { Census, ClusterName, SentStanding } from './wire.ts'

/** A shard as the API shows it. */
export function describeShard(standing: SentStanding, clock: Clock): ShardAnswer {
  const { shardId, state, worker, latencyMs, identifiedMsAgo, identifies, resumes, sequence } = standing
  const { closeCode, closeReason } = standing
  return {
    shardId,
    state,
    worker: worker ?? null,
    latencyMs: latencyMs ?? null,
    identifiedAt: identifiedMsAgo === undefined ? null : timeText(clock, clock.now() - identifiedMsAgo),
    identifies,
    resumes,
    sequence: sequence ?? null,
    lastClose:
      closeCode === undefined && closeReason === undefined
        ? null
        : { code: closeCode ?? null, reason: closeReason ?? null },
  }
}

/** The whole in short. */
export function describeCluster(
  { namespace, name }: ClusterName,
  { totalShards, states, workers }: Census,
): ClusterAnswer {
  // Each is sorted once, in this thread.
  const latencies = Float64Array.from(workers.flatMap(({ latencyMs }) => [...latencyMs])).sort()
  const highest = latencies.at(-1)
  return {
    ...{ namespace, name, totalShards, states },
    workers: workers.map(({ latencyMs, ...worker }) => ({ ...worker, latencyMs: median(latencyMs.sort()) ?? null })),
    latencyMs: highest === undefined ? null : { median: median(latencies) ?? highest, highest },
  }
}

const median = (ascending: Float64Array): number | undefined => ascending[Math.floor((ascending.length - 1) / 2)]
