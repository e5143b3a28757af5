import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { Range } from '../../src/domain/ranges.ts'

/**
 * What a pod of a former leader may hold until it is heard: its range, if all was in its place; while shards moved,
 * nobody knows, and it could be any.
 */
export function presumedRange({ status }: ShardCluster, ordinal: number): Range | undefined {
  const inPlace = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  const row = status?.workerStatuses?.find((worker) => worker.ordinal === ordinal)
  if (inPlace && row) return { first: row.first ?? 0, last: row.last ?? -1 }
  return status?.totalShards === undefined ? undefined : { first: 0, last: status.totalShards - 1 }
}
