/** When a shard is silent for too long. Times in milliseconds. */
export interface SilenceRules {
  /** No pause below this is a silence. */
  readonly least: number
  /** Nor is one below so many times the shard's mean pause. */
  readonly timesMean: number
  /** Nor is one below so many times the longest pause that ended by itself. */
  readonly timesLongest: number
  /** A sibling that had an event within this long is lively. */
  readonly lately: number
  /** Fewer siblings than this tell nothing. */
  readonly fewestSiblings: number
  /** After a first kick a shard is left alone for this long, after each further one for twice as long. */
  readonly again: number
  /** A shard that needed no kick for this long starts over. */
  readonly forgiven: number
  /** Guilds arrive for this long after READY: that is no traffic. */
  readonly arrival: number
}

export const SILENCE_RULES: SilenceRules = {
  least: 5 * 60_000,
  timesMean: 30,
  timesLongest: 2,
  lately: 60_000,
  fewestSiblings: 3,
  again: 10 * 60_000,
  forgiven: 24 * 3_600_000,
  arrival: 120_000,
}

/** How a shard's events came so far. */
export interface Rhythm {
  /** Since when it is watched. */
  readonly since: number
  /** Looks that found events. A burst is one, however many events it has: what counts are pauses. */
  readonly active: number
  /** The last look that found some, or the connection's start. */
  readonly lastAt: number
  /** The longest pause that an event ended. */
  readonly longest: number
  readonly kicks: number
  readonly kickedAt: number
}

/** The other shards of the thread that are connected. */
export interface Siblings {
  readonly connected: number
  /** Those of them that had an event lately. */
  readonly lively: number
}

/**
 * How long a pause of this shard may be before it is a silence. The pause that goes on counts in the mean, so that a
 * shard that had few events at all is never silent for longer than is usual for it.
 */
export function longestUsual({ since, active, longest }: Rhythm, now: number, rules: SilenceRules): number {
  const mean = active === 0 ? Number.POSITIVE_INFINITY : (now - since) / active
  return Math.max(rules.least, rules.timesMean * mean, rules.timesLongest * longest)
}

/**
 * Whether a shard should be closed and resumed because Discord seems to have forgotten it: it had traffic, it is silent
 * for far longer than is usual for it, and most of its siblings are not. What a quiet bot does is no silence, because
 * all of its shards do it.
 */
export function isSilent(rhythm: Rhythm, { connected, lively }: Siblings, now: number, rules: SilenceRules): boolean {
  if (connected < rules.fewestSiblings || lively * 2 <= connected) return false
  if (now - rhythm.lastAt <= longestUsual(rhythm, now, rules)) return false
  return rhythm.kicks === 0 || now - rhythm.kickedAt >= rules.again * 2 ** Math.min(rhythm.kicks - 1, 20)
}
