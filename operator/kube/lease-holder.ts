import type { Clock } from '../../src/support/clock.ts'
import type { CallOptions } from './apply.ts'
import { AlreadyExistsError, ConflictError, NotFoundError } from './errors.ts'
import { type Lease, type LeaseApi, type LeaseSpec, microTime } from './lease.ts'

/** The first term of a new Lease is the number of whole minutes since this instant. */
const TERM_EPOCH = Date.UTC(2020, 0, 1)

export interface LeaseHolderOptions {
  readonly leases: LeaseApi
  readonly identity: string
  readonly namespace: string
  readonly name: string
  readonly clock: Clock
}

/** Milliseconds; see LeaderTiming. */
export interface LeaseTiming {
  readonly leaseMs: number
  readonly renewMs: number
}

/**
 * Takes, renews and releases one Lease, and judges whether another process still holds it.
 *
 * Expiry: the times inside the Lease are never compared with this machine's clock (skew between nodes elects two
 * leaders). A lease is expired when *this* process saw it unchanged for its duration, on its own monotonic clock.
 *
 * Terms: every leader has a higher term (`leaseTransitions`) than any before it, even when the same process leads
 * again, because workers refuse commands of an older term. Should someone delete the Lease, a count from zero would
 * make every worker refuse the new leader; so a new Lease starts at the minutes since 2020. That is above every term
 * given before, unless leaders changed more than once a minute for years or the clock is wrong by more than the time
 * since the last Lease was made; terms this process saw itself are exceeded in any case.
 */
export class LeaseHolder {
  readonly #options: LeaseHolderOptions
  readonly #timing: LeaseTiming
  /** As last read or written. */
  #lease: Lease | undefined
  /** When the spec of `#lease` was first seen. */
  #seenAt = Number.NEGATIVE_INFINITY
  #highestTerm = 0
  #renewedAt = Number.NEGATIVE_INFINITY

  constructor(options: LeaseHolderOptions, timing: LeaseTiming) {
    this.#options = options
    this.#timing = timing
  }

  /** When the last successful acquisition or renewal was *sent*: the server counts from some time after. Monotonic. */
  get renewedAt(): number {
    return this.#renewedAt
  }

  /** The new term, or undefined when another holds the lease or was faster. Throws ApiErrors. */
  async tryAcquire(signal: AbortSignal): Promise<number | undefined> {
    const { leases, clock } = this.#options
    const current = await leases.get(this.#options, this.#call(signal))
    this.#observe(current)
    if (current && this.#isHeldByOther(current)) return undefined
    const sentAt = clock.now()
    const term = this.#nextTerm(current)
    const spec: LeaseSpec = { ...this.#claim(term), acquireTime: microTime(clock.date()) }
    try {
      const call = this.#call(signal)
      this.#lease = await (current ? leases.update(current, spec, call) : leases.create(this.#options, spec, call))
    } catch (error) {
      if (error instanceof ConflictError || error instanceof AlreadyExistsError) return undefined
      throw error
    }
    this.#renewedAt = sentAt
    this.#highestTerm = term
    return term
  }

  /** `taken`: another process holds the lease, or did in between. Throws ApiErrors; then it is not known. */
  async renew(signal: AbortSignal): Promise<'renewed' | 'taken'> {
    const { leases, identity, clock } = this.#options
    const sentAt = clock.now()
    const term = this.#highestTerm
    let lease = this.#lease
    for (let tries = 0; tries < 2; tries += 1) {
      const spec: LeaseSpec = { ...this.#claim(term), acquireTime: lease?.spec.acquireTime ?? microTime(clock.date()) }
      try {
        const call = this.#call(signal)
        this.#lease = await (lease ? leases.update(lease, spec, call) : leases.create(this.#options, spec, call))
        this.#renewedAt = sentAt
        return 'renewed'
      } catch (error) {
        if (!staleRead(error)) throw error
      }
      // A label was edited, the answer to our last renewal was lost, the Lease was deleted, or we were deposed.
      lease = await leases.get(this.#options, this.#call(signal))
      if (lease && (lease.spec.holderIdentity !== identity || lease.spec.leaseTransitions !== term)) return 'taken'
    }
    throw new Error(`the lease "${this.#options.name}" changed twice while it was renewed`)
  }

  /** Empties the lease, so that the next leader need not wait for its expiry. */
  async release(): Promise<void> {
    const { leases, clock } = this.#options
    if (!this.#lease) return
    const now = microTime(clock.date())
    const spec: LeaseSpec = { leaseTransitions: this.#highestTerm, leaseDurationSeconds: 1, renewTime: now }
    await leases.update(this.#lease, spec, { timeoutMs: this.#timing.renewMs / 2 })
    this.#lease = undefined
  }

  #observe(lease: Lease | undefined): void {
    const unchanged = this.#lease && lease && JSON.stringify(this.#lease.spec) === JSON.stringify(lease.spec)
    if (!unchanged) this.#seenAt = this.#options.clock.now()
    this.#lease = lease
    this.#highestTerm = Math.max(this.#highestTerm, lease?.spec.leaseTransitions ?? 0)
  }

  #isHeldByOther({ spec }: Lease): boolean {
    const { identity, clock } = this.#options
    // Our own name while we do not lead: we took it, and the answer was lost. Nobody else bears this name.
    if (!spec.holderIdentity || spec.holderIdentity === identity) return false
    const durationMs = spec.leaseDurationSeconds ? spec.leaseDurationSeconds * 1_000 : this.#timing.leaseMs
    return clock.now() < this.#seenAt + durationMs
  }

  #nextTerm(current: Lease | undefined): number {
    const next = this.#highestTerm + 1
    if (current) return next
    return Math.max(next, Math.floor((this.#options.clock.date().getTime() - TERM_EPOCH) / 60_000))
  }

  #claim(term: number): LeaseSpec {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#timing.leaseMs / 1_000),
      leaseTransitions: term,
      renewTime: microTime(this.#options.clock.date()),
    }
  }

  /** Half the renewal time, as controller-runtime: one call that hangs must leave time for another. */
  #call(signal: AbortSignal): CallOptions {
    return { signal, timeoutMs: this.#timing.renewMs / 2 }
  }
}

function staleRead(error: unknown): boolean {
  return error instanceof ConflictError || error instanceof AlreadyExistsError || error instanceof NotFoundError
}
