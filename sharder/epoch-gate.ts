import { plausibleEpoch, termOf } from '../src/domain/epoch.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'
import type { Clock } from '../src/support/clock.ts'

/**
 * Which manager this worker obeys: the one with the newest epoch it has heard of. What an older one still sends is
 * refused, and what it permitted and was not used yet is void.
 */
export class EpochGate {
  readonly #clock: Clock
  /** The newest epoch that was received; the board shows the newest that was carried out. */
  #newest: number
  /** IDENTIFYs under way, with the term of the leader that allowed each. */
  readonly #permits = new Map<AbortController, number>()

  /** `newest`: what the former process of this pod had heard. */
  constructor(clock: Clock, newest = 0) {
    this.#clock = clock
    this.#newest = newest
  }

  get newest(): number {
    return this.#newest
  }

  /** Why a command of this epoch is not carried out; undefined: it is. */
  refusal(epoch: number): Failure | undefined {
    if (epoch >= this.#newest) return this.#tooFarAhead(epoch)
    const why = `epoch ${epoch} is older than ${this.#newest}: a newer manager has spoken to this worker.`
    return failure('STALE_EPOCH', why)
  }

  #tooFarAhead(epoch: number): Failure | undefined {
    const now = this.#clock.date()
    // What was obeyed once is obeyed on: only a clock that was set back since then can speak against it.
    if (termOf(epoch) === termOf(this.#newest) || plausibleEpoch(epoch, now)) return undefined
    const why =
      `epoch ${epoch} is of a leader that there cannot be yet (it is ${now.toISOString()} here): ` +
      'look at the clocks of this node and of the operator, and at leaseTransitions of the Lease.'
    return failure('BAD_REQUEST', why)
  }

  /**
   * From now on nothing older counts. A leader that was paused may still hold its requests open: its permits are void.
   * @returns whether a leader speaks that was not heard before.
   */
  obey(epoch: number): boolean {
    const newTerm = termOf(epoch) > termOf(this.#newest)
    if (newTerm) for (const [permit, term] of this.#permits) if (term < termOf(epoch)) permit.abort()
    this.#newest = Math.max(this.#newest, epoch)
    return newTerm
  }

  /** Runs with a signal that aborts when the manager hangs up, or when a leader of a newer term speaks. */
  async permitted<T>(epoch: number, hungUp: AbortSignal, identify: (permit: AbortSignal) => Promise<T>): Promise<T> {
    const permit = new AbortController()
    this.#permits.set(permit, termOf(epoch))
    try {
      return await identify(AbortSignal.any([hungUp, permit.signal]))
    } finally {
      this.#permits.delete(permit)
    }
  }
}
