/** Why a shard count cannot be run, in a sentence that says what to change; undefined when it can. */
export function shardCountProblem(
  totalShards: number,
  limits: { totalWorkers: number; shardsPerWorker: number; shardMultiple?: number | undefined },
): { reason: 'TooManyShards' | 'IllegalShardCount'; message: string } | undefined {
  const { totalWorkers, shardsPerWorker, shardMultiple } = limits
  if (shardMultiple !== undefined && totalShards % shardMultiple !== 0) {
    const below = Math.floor(totalShards / shardMultiple) * shardMultiple
    const near = below > 0 ? `${below} or ${below + shardMultiple}` : String(shardMultiple)
    return {
      reason: 'IllegalShardCount',
      message: `totalShards ${totalShards} is not a multiple of gateway.shardMultiple ${shardMultiple}: Discord would answer every IDENTIFY with close 4010. Set totalShards to ${near}.`,
    }
  }
  if (totalShards > totalWorkers * shardsPerWorker) {
    return {
      reason: 'TooManyShards',
      message: `${totalShards} shards do not fit on ${totalWorkers} workers of ${shardsPerWorker}: set totalWorkers to at least ${Math.ceil(totalShards / shardsPerWorker)}, or raise shardsPerWorker.`,
    }
  }
  return undefined
}
