/**
 * Which worker holds which shards.
 *
 * Worker k of W holds the shards from floor(k*T/W) up to, and without, floor((k+1)*T/W).
 * Properties: every shard is owned exactly once; ranges are contiguous and in the order of the ordinals; their sizes
 * differ by at most one; nothing but T and W decides, so that every process computes the same.
 * (discordeno 21.0.0's calculateWorkerId puts 4,910 of 5,000 shards on the last of 10 workers.)
 */

/** Shards `first` to `last`, both included; empty when `last` is `first - 1`. */
export interface Range {
  readonly first: number
  readonly last: number
}

/** The range of worker `ordinal` (0 to `totalWorkers` - 1) of `totalShards` shards. Beyond the workers it is empty. */
export function rangeOf(ordinal: number, totalShards: number, totalWorkers: number): Range {
  if (ordinal < 0 || ordinal >= totalWorkers) return { first: totalShards, last: totalShards - 1 }
  const start = (k: number) => Math.floor((k * totalShards) / totalWorkers)
  return { first: start(ordinal), last: start(ordinal + 1) - 1 }
}

/** The ordinal whose range contains `shardId` (0 to `totalShards` - 1). */
export function ownerOf(shardId: number, totalShards: number, totalWorkers: number): number {
  // The largest k with floor(k*T/W) <= s, that is k*T/W < s + 1.
  return Math.ceil(((shardId + 1) * totalWorkers) / totalShards) - 1
}

export const sizeOf = (range: Range): number => range.last - range.first + 1

export const contains = (range: Range, shardId: number): boolean => shardId >= range.first && shardId <= range.last

/** Every shard id of the range, ascending. */
export function* shardsOf(range: Range): Generator<number> {
  for (let shardId = range.first; shardId <= range.last; shardId++) yield shardId
}

/** The fewest ranges that hold the same shards as these, ascending; empty ones are left out. n log n in their number. */
export function mergedRanges(ranges: Iterable<Range>): Range[] {
  const sorted = [...ranges].filter(({ first, last }) => first <= last).sort((a, b) => a.first - b.first)
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of sorted) {
    const open = merged.at(-1)
    if (open && first <= open.last + 1) open.last = Math.max(open.last, last)
    else merged.push({ first, last })
  }
  return merged
}

/** Every shard id of the range that none of `without` contains, ascending. Linear once `without` is sorted. */
export function* shardsOutside(range: Range, without: Iterable<Range>): Generator<number> {
  let next = range.first
  for (const { first, last } of mergedRanges(without)) {
    if (first > range.last) break
    yield* shardsOf({ first: next, last: first - 1 })
    next = Math.max(next, last + 1)
  }
  yield* shardsOf({ first: next, last: range.last })
}

/** The fewest ranges that hold exactly these shards, ascending. */
export function rangesFrom(shardIds: Iterable<number>): Range[] {
  const sorted = [...new Set(shardIds)].sort((a, b) => a - b)
  const ranges: { first: number; last: number }[] = []
  for (const shardId of sorted) {
    const open = ranges.at(-1)
    if (open && shardId === open.last + 1) open.last = shardId
    else ranges.push({ first: shardId, last: shardId })
  }
  return ranges
}

/** `0-499`, `7`, or `none`: a range for people. */
export function rangeText({ first, last }: Range): string {
  if (last < first) return 'none'
  return first === last ? String(first) : `${first}-${last}`
}
