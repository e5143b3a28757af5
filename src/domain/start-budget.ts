/**
 * The ledger of a bot's session start limit (1,000 IDENTIFYs a day, 25,000 for a bot of 5M guilds).
 * At zero Discord resets the token and closes every session, so the ledger is never optimistic: it takes what Discord
 * last said and subtracts every IDENTIFY sent since the question was asked, whether or not the answer counted it.
 */
export interface StartBudget {
  readonly total: number
  /** What Discord said was left. */
  readonly remaining: number
  /** When Discord counts anew, on the injected clock (milliseconds). */
  readonly resetAt: number
  /** IDENTIFYs sent, or possibly sent, since the question was asked. */
  readonly spent: number
}

/** What `/gateway/bot` says of it. `resetAfter` in milliseconds. */
export interface SessionStartLimit {
  readonly total: number
  readonly remaining: number
  readonly resetAfter: number
  readonly maxConcurrency: number
}

/** A fresh answer. `spentSinceAsked`: IDENTIFYs sent while the question was under way. */
export function observeBudget(limit: SessionStartLimit, now: number, spentSinceAsked: number): StartBudget {
  return { total: limit.total, remaining: limit.remaining, resetAt: now + limit.resetAfter, spent: spentSinceAsked }
}

/** One more IDENTIFY was sent, or may have been. */
export const spend = (budget: StartBudget): StartBudget => ({ ...budget, spent: budget.spent + 1 })

/** What is certainly left. After `resetAt` it is unknown until Discord is asked again, and what was left still holds. */
export const left = (budget: StartBudget): number => Math.max(0, budget.remaining - budget.spent)

/**
 * IDENTIFYs that may be sent now: those above the reserve, without those already granted and not yet counted.
 */
export function spendable(budget: StartBudget | undefined, reserve: number, granted: number): number {
  if (budget === undefined) return 0
  return Math.max(0, left(budget) - granted - reserve)
}

/** Who has the least left, the one that is counted anew last where several have; undefined: nobody knows anything. */
export function strictest<T extends { readonly ledger: StartBudget | undefined }>(
  holders: readonly T[],
): T | undefined {
  let least: T | undefined
  for (const holder of holders) {
    if (!holder.ledger) continue
    const other = least?.ledger
    const difference = other ? left(holder.ledger) - left(other) || other.resetAt - holder.ledger.resetAt : -1
    if (difference < 0) least = holder
  }
  return least
}
