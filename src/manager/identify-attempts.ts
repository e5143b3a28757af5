import type { Identified } from '../protocol/commands.ts'
import { backoffDelay } from '../support/backoff.ts'
import type { IdentifyOutcome } from './identify-lane.ts'
import type { Answer } from './ports.ts'

/** What went wrong with one shard, lately. */
export interface Attempt {
  /** Failures in a row. */
  readonly failures: number
  /** Not to be tried again before this, on the injected clock. */
  readonly notBefore: number
  readonly message: string
}

/**
 * A failure that certainly cost nothing is tried again soon, one that cost an IDENTIFY, or may have, after longer and
 * longer: also so that no late report of it is taken for one of the next attempt. In milliseconds.
 */
const FREE = { baseMs: 500, capMs: 30_000 }
const SPENT = { baseMs: 10_000, capMs: 15 * 60_000 }

/** Remembers which shards failed to identify, so that none is retried hot and no IDENTIFY is burnt in a loop. */
export class IdentifyAttempts {
  readonly #attempts = new Map<number, Attempt>()
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  of(shardId: number): Attempt | undefined {
    return this.#attempts.get(shardId)
  }

  all(): ReadonlyMap<number, Attempt> {
    return this.#attempts
  }

  clear(shardId?: number): void {
    if (shardId === undefined) this.#attempts.clear()
    else this.#attempts.delete(shardId)
  }

  /** Takes the answer of a worker that arrived at `now` and says what the bucket and the budget need to know of it. */
  settle(shardId: number, answer: Answer<Identified>, now: number): IdentifyOutcome {
    if (answer.ok) {
      this.#attempts.delete(shardId)
      const { identifiedMsAgo } = answer.value
      return { sentAt: now - identifiedMsAgo, answeredInMs: identifiedMsAgo, tooEarly: false }
    }
    const { failure } = answer
    const sentAt =
      failure.code === 'UNKNOWN'
        ? 'unknown'
        : failure.identifiedMsAgo === undefined
          ? undefined
          : now - failure.identifiedMsAgo
    const failures = (this.#attempts.get(shardId)?.failures ?? 0) + 1
    const pace = sentAt === undefined ? FREE : SPENT
    const delay = backoffDelay(failures, { ...pace, random: this.#random })
    this.#attempts.set(shardId, { failures, notBefore: now + delay, message: failure.message })
    return { sentAt, tooEarly: failure.code === 'INVALID_SESSION' }
  }
}
