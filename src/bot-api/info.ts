import type { ShardStanding } from '../manager/shard-directory.ts'
import { type Clock, timeText } from '../support/clock.ts'
import type { Context } from './route.ts'
import type { ClusterAnswer, ShardAnswer } from './schemas.ts'

/** A shard as the API shows it. */
export function describeShard(standing: ShardStanding, clock: Clock): ShardAnswer {
  const { shardId, state, worker, latencyMs, identifiedAt, identifies, resumes, sequence } = standing
  const { closeCode, closeReason } = standing
  return {
    shardId,
    state,
    worker: worker ?? null,
    latencyMs: latencyMs ?? null,
    identifiedAt: identifiedAt === undefined ? null : timeText(clock, identifiedAt),
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
export function describeCluster({ namespace, name, directory, totalShards }: Context): ClusterAnswer {
  const standings = directory.standings()
  const states: ClusterAnswer['states'] = {}
  for (const { state } of standings) states[state] = (states[state] ?? 0) + 1
  const connected = standings.filter(({ state, worker }) => state === 'Connected' && worker?.connected)
  const latencies = latenciesOf(connected)
  const highest = latencies.at(-1)
  const workers = [...directory.workers]
    .sort((a, b) => a.ref.ordinal - b.ref.ordinal)
    .map(({ ref: { ordinal, name }, view }) => ({
      ...{ ordinal, name, connected: view.connected, draining: view.draining, shards: view.shards.size },
      latencyMs: median(latenciesOf(connected.filter(({ worker }) => worker?.ordinal === ordinal))) ?? null,
    }))
  return {
    ...{ namespace, name, totalShards, states, workers },
    latencyMs: highest === undefined ? null : { median: median(latencies) ?? highest, highest },
  }
}

/** Ascending, of those that have measured one. */
const latenciesOf = (standings: readonly ShardStanding[]): number[] =>
  standings.flatMap(({ latencyMs }) => latencyMs ?? []).sort((a, b) => a - b)

const median = (ascending: readonly number[]): number | undefined => ascending[Math.floor((ascending.length - 1) / 2)]
