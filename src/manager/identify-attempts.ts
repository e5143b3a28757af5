import { openUntil, stillCounted } from '../domain/circuit-breaker.ts'
import type { Identified } from '../protocol/commands.ts'
import { backoffDelay } from '../support/backoff.ts'
import type { IdentifyOutcome } from './identify-source.ts'
import type { Answer } from './ports.ts'

/** What went wrong with one shard, lately. */
export interface Attempt {
  /** Failures in a row. */
  readonly failures: number
  /** Not to be tried again before this, on the injected clock. */
  readonly notBefore: number
  readonly message: string
}

/** A shard that spent too many IDENTIFYs, and until when it gets no more, on the injected clock. */
export interface OpenBreaker {
  readonly shardId: number
  readonly identifies: number
  readonly until: number
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
  /** When each shard identified lately, whatever came of it. */
  readonly #spent = new Map<number, readonly number[]>()
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  /** Not to be tried before this, on the injected clock; undefined: at any time. */
  notBefore(shardId: number, now: number): number | undefined {
    const open = openUntil(this.#spent.get(shardId) ?? [], now)
    const backedOff = this.#attempts.get(shardId)?.notBefore
    return open === undefined ? backedOff : Math.max(open, backedOff ?? open)
  }

  all(): ReadonlyMap<number, Attempt> {
    return this.#attempts
  }

  /** Shards whose circuit breaker is open at `now`. */
  open(now: number): OpenBreaker[] {
    return [...this.#spent].flatMap(([shardId, times]) => {
      const until = openUntil(times, now)
      return until === undefined ? [] : [{ shardId, until, identifies: stillCounted(times, now).length }]
    })
  }

  /** The shard is connected: what failed before is over. What it spent still counts. */
  connected(shardId: number): void {
    this.#attempts.delete(shardId)
  }

  /** The user mended something: everything may be tried again. */
  clear(): void {
    this.#attempts.clear()
    this.#spent.clear()
  }

  /** Takes the answer of a worker that arrived at `now` and says what the bucket and the budget need to know of it. */
  settle(shardId: number, answer: Answer<Identified>, now: number): IdentifyOutcome {
    if (answer.ok) {
      this.#attempts.delete(shardId)
      const { identifiedMsAgo } = answer.value
      this.#count(shardId, now - identifiedMsAgo, now)
      return { sentAt: now - identifiedMsAgo, answeredInMs: identifiedMsAgo, tooEarly: false }
    }
    const { failure } = answer
    const sentAt =
      failure.code === 'UNKNOWN'
        ? 'unknown'
        : failure.identifiedMsAgo === undefined
          ? undefined
          : now - failure.identifiedMsAgo
    if (sentAt !== undefined) this.#count(shardId, sentAt === 'unknown' ? now : sentAt, now)
    const failures = (this.#attempts.get(shardId)?.failures ?? 0) + 1
    const pace = sentAt === undefined ? FREE : SPENT
    const delay = backoffDelay(failures, { ...pace, random: this.#random })
    this.#attempts.set(shardId, { failures, notBefore: now + delay, message: failure.message })
    return { sentAt, tooEarly: failure.code === 'INVALID_SESSION' }
  }

  #count(shardId: number, at: number, now: number): void {
    this.#spent.set(shardId, [...stillCounted(this.#spent.get(shardId) ?? [], now), at])
  }
}
