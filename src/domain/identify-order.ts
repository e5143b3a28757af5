import { ownerOf, rangeOf } from './ranges.ts'

/** How the shards of a bot start: see `identify.order`. */
export type IdentifyOrder = 'Spread' | 'Strict'

export interface Fleet {
  readonly totalShards: number
  readonly totalWorkers: number
  /** Discord's max_concurrency: the number of buckets. */
  readonly maxConcurrency: number
}

/** Discord's rate limit key of an IDENTIFY: https://discord.com/developers/docs/events/gateway#rate-limiting-and-max-concurrency */
export const bucketOf = (shardId: number, maxConcurrency: number): number => shardId % maxConcurrency

/**
 * The number of buckets that breaks no rule whichever of these is Discord's: their greatest common divisor. The least of
 * them would not do: of 3 and 16, shards 0 and 16 share one of 16 buckets, and none of 3.
 */
export const commonConcurrency = (heard: readonly number[]): number =>
  heard.reduce((a, b) => {
    let [divisor, rest] = [a, b]
    while (rest > 0) [divisor, rest] = [rest, divisor % rest]
    return divisor
  })

/**
 * The position of a shard inside its bucket; lower ranks go first, no two shards of a bucket share one.
 *
 * `Strict` is Discord's wording, ascending ids. `Spread` walks the workers in turn, and each bucket begins with
 * another worker: with contiguous ranges and ascending ids a whole wave (64 READYs and their 64,000 GUILD_CREATEs)
 * would fall on one pod. Buckets are independent, so only the order inside one matters to Discord.
 */
export function rankOf(
  shardId: number,
  order: IdentifyOrder,
  { totalShards, totalWorkers, maxConcurrency }: Fleet,
): number {
  if (order === 'Strict') return Math.floor(shardId / maxConcurrency)
  const bucket = bucketOf(shardId, maxConcurrency)
  const worker = ownerOf(shardId, totalShards, totalWorkers)
  const { first } = rangeOf(worker, totalShards, totalWorkers)
  const firstOfBucket = first + ((bucket - (first % maxConcurrency) + maxConcurrency) % maxConcurrency)
  const turn = (shardId - firstOfBucket) / maxConcurrency
  const place = (((worker - bucket) % totalWorkers) + totalWorkers) % totalWorkers
  return turn * totalWorkers + place
}
