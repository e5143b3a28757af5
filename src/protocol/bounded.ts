import { z } from 'zod'
import { FROM_WORKERS, MAX_FOREIGN_TEXT, MAX_SHARDS } from '../limits.ts'
import { foreignText, isPlain } from '../support/text.ts'

/**
 * The parts that the schemas of a worker's words are made of. What an honest worker may overdo (a long text, an old
 * age) is cut to the bound; what only a lying one would send is refused. Each has one check instead of one a bound:
 * thousands of shards are checked each second, and a check costs more than what it compares. `meta` says the bounds to
 * whoever makes a JSON schema of it.
 */

/** A whole number from `min` to `max`. */
export const whole = (min: number, max: number) =>
  z
    .number()
    .check(({ value, issues }) => {
      if (!Number.isInteger(value) || value < min || value > max)
        issues.push({ code: 'custom', input: value, message: `must be a whole number from ${min} to ${max}` })
    })
    .meta({ type: 'integer', minimum: min, maximum: max })

/** A number from 0 to `max`; a larger one counts as `max`. */
export const upTo = (max: number) =>
  z
    .number()
    .check((payload) => {
      if (payload.value > max) payload.value = max
      else if (payload.value < 0)
        payload.issues.push({ code: 'custom', input: payload.value, message: 'must not be below 0' })
    })
    .meta({ minimum: 0, maximum: max })

/** Milliseconds since something happened. */
export const ago = () => upTo(FROM_WORKERS.agoMs)

/** A whole number from 0 to `max`; a larger one counts as `max`. */
export const countUpTo = (max: number) =>
  z
    .number()
    .check((payload) => {
      if (payload.value > max) payload.value = max
      else if (payload.value < 0 || !Number.isInteger(payload.value))
        payload.issues.push({ code: 'custom', input: payload.value, message: 'must be a whole number from 0' })
    })
    .meta({ type: 'integer', minimum: 0, maximum: max })

/** Text for people, cut to `max` characters. */
export const textFor = (max = MAX_FOREIGN_TEXT) =>
  z
    .string()
    .check((payload) => {
      if (!isPlain(payload.value, max)) payload.value = foreignText(payload.value, max)
    })
    .meta({ maxLength: max })

/** Text for programs, of 1 to `max` characters. */
export const wordUpTo = (max: number) =>
  z
    .string()
    .check(({ value, issues }) => {
      if (value.length < 1 || value.length > max)
        issues.push({ code: 'custom', input: value, message: `must have 1 to ${max} characters` })
    })
    .meta({ minLength: 1, maxLength: max })

/** The id of a shard of any ShardCluster. */
export const anyShardId = () => whole(0, MAX_SHARDS - 1)

/** See epochOf in src/domain/epoch.ts. */
export const anyEpoch = () => countUpTo(FROM_WORKERS.epoch)
