/** Commands that one leader sends before its epochs would run into the next leader's. */
const COMMANDS_PER_TERM = 100_000_000

/**
 * The epoch of a leader's `counter`-th command. Grows with every command, and from term to term, so that a worker
 * can refuse whatever a deposed leader still sends. `term` is the Lease's leaseTransitions (below 90 million).
 */
export function epochOf(term: number, counter: number): number {
  return term * COMMANDS_PER_TERM + counter
}

/** The term of the leader that an epoch comes from. A permit of an older term than the newest a worker saw is void. */
export const termOf = (epoch: number): number => Math.floor(epoch / COMMANDS_PER_TERM)
