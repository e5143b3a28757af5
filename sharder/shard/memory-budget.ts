import { FROM_GATEWAY } from '../../src/limits.ts'

/**
 * Memory that a few holders share: each has a small allowance of its own, and what it holds beyond that is taken from
 * the budget. It is asked only when something large grows, which no usual event is.
 */
export class MemoryBudget {
  readonly #allowance: number
  #left: number

  /** `bytes`: for all holders together. `allowance`: what each may hold besides, in bytes. */
  constructor(bytes: number, allowance: number) {
    this.#left = bytes
    this.#allowance = allowance
  }

  /** What a holder has becomes `wanted` instead of `had` bytes. @returns false: there is not so much left; it has what it had. */
  change(had: number, wanted: number): boolean {
    const more = Math.max(0, wanted - this.#allowance) - Math.max(0, had - this.#allowance)
    if (more > this.#left) return false
    this.#left -= more
    return true
  }
}

/** What all connections of this thread hold of messages that are not finished, and what is inflated. */
export const threadMemory = new MemoryBudget(FROM_GATEWAY.threadBytes, FROM_GATEWAY.allowanceBytes)

/** Why a message that is not too long in itself is given up. */
export const TOO_MUCH_HELD = `the unfinished messages of this thread's shards take more than ${FROM_GATEWAY.threadBytes} bytes`
