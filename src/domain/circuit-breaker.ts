/**
 * Keeps one shard from burning the IDENTIFYs of all: one that gets sessions and loses them again and again looks healthy
 * to a back-off, which begins anew with each READY (a shard that looped on 1011 spent a bot's 1,000 in a night,
 * discord-api-docs#1023).
 *
 * Properties: no shard identifies more than MOST times within WINDOW; one that does not is never held back; the breaker
 * closes by itself.
 */

/** IDENTIFYs of one shard within the window that are nobody's fault. */
export const MOST_IDENTIFIES = 5

/** Milliseconds. */
export const BREAKER_WINDOW_MS = 60 * 60_000

/** Those of the moments at which a shard identified that still count at `now`. Ascending, milliseconds. */
export const stillCounted = (times: readonly number[], now: number): readonly number[] =>
  times.filter((time) => now - time < BREAKER_WINDOW_MS)

/** Until when the shard must not identify; undefined: it may. `times` ascending, on the clock of `now`. */
export function openUntil(times: readonly number[], now: number): number | undefined {
  const counted = stillCounted(times, now)
  const first = counted[counted.length - MOST_IDENTIFIES]
  return first === undefined ? undefined : first + BREAKER_WINDOW_MS
}
