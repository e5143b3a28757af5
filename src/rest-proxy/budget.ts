import { totalmem } from 'node:os'
import { REST_PROXY } from '../limits.ts'

/**
 * Bytes under way: bodies that wait for Discord, and answers that their callers have not read yet. Counted before
 * they are kept, so that they never have more memory than the process has room for.
 */
export class Budget {
  /** In bytes. */
  readonly limit: number
  #used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Bytes under way now. More than `limit` only by what `Claim.add` added. */
  get used(): number {
    return this.#used
  }

  /** The part of one request; `release()` must follow. */
  claim(): Claim {
    return new Claim(this.limit, (bytes) => {
      this.#used += bytes
      return this.#used
    })
  }
}

/** What one request takes of the budget, until it is over. */
export class Claim {
  readonly #limit: number
  readonly #move: (bytes: number) => number
  #bytes = 0
  #released = false

  /** `move` changes the sum of all claims, and returns it. */
  constructor(limit: number, move: (bytes: number) => number) {
    this.#limit = limit
    this.#move = move
  }

  /** Takes `bytes` if there is room. @returns whether it did. */
  take(bytes: number): boolean {
    if (this.#released || this.#move(0) + bytes > this.#limit) return false
    this.add(bytes)
    return true
  }

  /** Takes `bytes` in any case: what is here already. A negative number gives them back. */
  add(bytes: number): void {
    if (this.#released) return
    this.#bytes += bytes
    this.#move(bytes)
  }

  /** Gives everything back. What comes later is not counted: nobody keeps it. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#move(-this.#bytes)
  }
}

/**
 * The budget of a process that may have `constrained` bytes (its cgroup's limit; 0 or a number beyond the machine's
 * memory: none) on a machine of `total`.
 */
export function memoryBudget(constrained = process.constrainedMemory(), total = totalmem()): number {
  const memory = constrained > 0 ? Math.min(constrained, total) : total
  return Math.floor(memory * REST_PROXY.memoryShare)
}
