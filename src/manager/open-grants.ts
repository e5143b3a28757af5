import { bucketOf } from '../domain/identify-order.ts'
import type { Candidate, Grant } from '../domain/identify-schedule.ts'

/** Grants whose IDENTIFY is still to leave, as far as is known, each with what takes its permit back. */
export class OpenGrants {
  readonly #permits = new Map<Grant, AbortController>()
  readonly #sentAt = new WeakMap<Grant, number>()

  /** @returns what aborts when the permit is taken back. */
  open(grant: Grant): AbortSignal {
    const permit = new AbortController()
    this.#permits.set(grant, permit)
    return permit.signal
  }

  close(grant: Grant): void {
    this.#permits.delete(grant)
  }

  [Symbol.iterator](): Iterator<Grant> {
    return this.#permits.keys()
  }

  has(grant: Grant): boolean {
    return this.#permits.has(grant)
  }

  find(cluster: string, shardId: number): Grant | undefined {
    return [...this].find(({ candidate }) => candidate.shardId === shardId && candidate.cluster === cluster)
  }

  /** One that is still to leave in this bucket: more than one only after max_concurrency shrank. */
  inBucket(bucket: number, maxConcurrency: number): Grant | undefined {
    return [...this].find(({ candidate }) => bucketOf(candidate.shardId, maxConcurrency) === bucket)
  }

  /** When a worker reported that it left, on the injected clock; undefined: none did. */
  sentAt(grant: Grant): number | undefined {
    return this.#sentAt.get(grant)
  }

  /** A worker reports that it left at `at`. @returns whether that is news. */
  reported(grant: Grant, at: number): boolean {
    const known = this.#sentAt.get(grant)
    this.#sentAt.set(grant, Math.min(at, known ?? at))
    return known === undefined
  }

  /**
   * Takes back what nobody reported to have left although its slot was before `slotBefore`, where a shard of another
   * ShardCluster waits for the same bucket: whoever does not use its turn shall not keep it from the others.
   */
  takeBack(slotBefore: number, candidates: readonly Candidate[], maxConcurrency: number): void {
    for (const [{ bucket, candidate }, permit] of this.#overdue(slotBefore)) {
      const waits = ({ cluster, shardId }: Candidate) =>
        cluster !== candidate.cluster && bucketOf(shardId, maxConcurrency) === bucket
      if (candidates.some(waits)) permit.abort(new Error('no IDENTIFY in time, while others wait for its bucket'))
    }
  }

  *#overdue(slotBefore: number): Generator<[Grant, AbortController]> {
    for (const open of this.#permits) if (open[0].slotAt < slotBefore && !this.#sentAt.has(open[0])) yield open
  }
}
