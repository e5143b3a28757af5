/** Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
export interface BackoffOptions {
  /** Upper bound of the first delay, in milliseconds. */
  readonly baseMs: number
  /** Upper bound of every delay, in milliseconds. */
  readonly capMs: number
  /** Uniform in [0, 1). Injected so that simulations replay. */
  readonly random: () => number
}

/**
 * Milliseconds to wait after the `failures`-th failure in a row (1 is the first). Uniform between half of and the
 * whole exponential bound: never zero, so that a refused port is not hammered, and spread, so that 5,000 shards
 * that lost one node do not come back in step.
 */
export function backoffDelay(failures: number, { baseMs, capMs, random }: BackoffOptions): number {
  const bound = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30))
  return bound / 2 + (random() * bound) / 2
}
