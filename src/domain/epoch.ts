/** Commands that one leader sends before its epochs would run into the next leader's. */
const COMMANDS_PER_TERM = 100_000_000

/** The first term of a new Lease is the number of whole minutes since this instant, see LeaseHolder. */
const TERM_EPOCH = Date.UTC(2020, 0, 1)
const MINUTE_MS = 60_000
const MINUTES_PER_DAY = 1_440
/** How far ahead of the minutes a term may be, see plausibleEpoch. */
const TERMS_AHEAD = 7 * MINUTES_PER_DAY

/**
 * The epoch of a leader's `counter`-th command. Grows with every command, and from term to term, so that a worker
 * can refuse whatever a deposed leader still sends. `term` is the Lease's leaseTransitions (below 90 million).
 */
export function epochOf(term: number, counter: number): number {
  return term * COMMANDS_PER_TERM + counter
}

/** The term of the leader that an epoch comes from. A permit of an older term than the newest a worker saw is void. */
export const termOf = (epoch: number): number => Math.floor(epoch / COMMANDS_PER_TERM)

/** The term of the first leader of a Lease that is made at `date`: the whole minutes since 2020. */
export const firstTermAt = (date: Date): number => Math.floor((date.getTime() - TERM_EPOCH) / MINUTE_MS)

/**
 * Whether a leader may have sent this epoch by `date`, the worker's own wall clock. A worker keeps the newest epoch it
 * heard and refuses all before it, so that one from the far future, sent by whoever has the key, would lock every real
 * leader out of its pod for ever.
 *
 * A term begins at the minutes since 2020 and grows by one with each leader. Leaders that last a minute on average, over
 * the life of their Lease, never get ahead of the minutes; and a deleted Lease begins at the minutes again, which is
 * where terms are expected. Seven days (10,080 terms) of room are for clocks that are wrong, a day early here and a
 * day late there (2,880), and for 7,200 leaders that lasted no minute. Less would lock out an operator that crashed for
 * days; more would let a false epoch hold for longer: it is overtaken when the Lease is made anew that much later.
 * A clock from before 2020 is surely wrong, and says nothing: nothing is refused by it.
 */
export function plausibleEpoch(epoch: number, date: Date): boolean {
  const minutes = firstTermAt(date)
  return minutes < 0 || termOf(epoch) <= minutes + TERMS_AHEAD
}
