import { z } from 'zod'
import { FROM_WORKERS, MAX_FOREIGN_TEXT, MAX_SHARDS } from '../limits.ts'
import { foreignText } from '../support/text.ts'

/**
 * The parts that the schemas of a worker's words are made of. What an honest worker may overdo (a long text, an old
 * age) is cut to the bound; what only a lying one would send is refused.
 */

/** A number from 0 to `max`; a larger one counts as `max`. */
export const upTo = (max: number) =>
  z
    .number()
    .min(0)
    .overwrite((value) => Math.min(value, max))
    .max(max)

/** Milliseconds since something happened. */
export const ago = () => upTo(FROM_WORKERS.agoMs)

/** Text for people, cut to `max` characters. */
export const textFor = (max = MAX_FOREIGN_TEXT) =>
  z
    .string()
    .overwrite((text) => foreignText(text, max))
    .max(max)

/** A whole number from 0 to `max`; a larger one counts as `max`. */
export const countUpTo = (max: number) =>
  z
    .int()
    .min(0)
    .overwrite((value) => Math.min(value, max))
    .max(max)

/** The id of a shard of any ShardCluster. */
export const anyShardId = () =>
  z
    .int()
    .min(0)
    .max(MAX_SHARDS - 1)

/** See epochOf in src/domain/epoch.ts. */
export const anyEpoch = () => countUpTo(FROM_WORKERS.epoch)
