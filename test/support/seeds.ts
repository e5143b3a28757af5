const { SHARDCLUSTER_SEED, SHARDCLUSTER_SEEDS } = process.env

/** A long run: SHARDCLUSTER_SEEDS=20 plays twenty times as many. */
export const MANY = Number(SHARDCLUSTER_SEEDS ?? 1)

/** Seeds of a random test: `count` of them, or the one that SHARDCLUSTER_SEED replays. */
export const seeds = (count: number, from: number): number[] =>
  SHARDCLUSTER_SEED ? [Number(SHARDCLUSTER_SEED)] : Array.from({ length: count }, (_, i) => from + i)
