/** Work in steps, each short enough for one turn of the event loop. What it returns is the result. */
export type Steps<T> = Generator<void, T>

export interface FairTurnsOptions {
  /** Jobs of one owner that wait, the one that is worked on among them. */
  readonly waiting: number
  /** Jobs of all owners. */
  readonly waitingInAll: number
  /** Runs an action in a later turn of the event loop, so that everything else has its turn before. */
  readonly later?: (action: () => void) => void
}

interface Job {
  /** Does one step; true: it was the last. */
  step(): boolean
}

/**
 * Does the work of many owners in one event loop.
 *
 * - One step a turn of the loop: whatever the owners ask for, everything else waits for one step at most.
 * - Owners take turns: between two steps of one of them, each other one that waits has exactly one.
 * - The jobs of one owner are done in their order.
 * - What waits is bounded, for each owner and in all; what is beyond is refused.
 */
export class FairTurns {
  readonly #options: FairTurnsOptions
  /** The owners that wait, the next one first. */
  readonly #owners = new Map<string, Job[]>()
  #waiting = 0

  constructor(options: FairTurnsOptions) {
    this.#options = options
  }

  /** undefined: refused, because too much waits. Rejects with what a step throws. */
  run<T>(owner: string, steps: Steps<T>): Promise<T> | undefined {
    const jobs = this.#owners.get(owner) ?? []
    const { waiting, waitingInAll } = this.#options
    if (jobs.length >= waiting || this.#waiting >= waitingInAll) return undefined
    return new Promise((resolve, reject) => {
      jobs.push({
        step() {
          try {
            const { done, value } = steps.next()
            if (done) resolve(value)
            return done === true
          } catch (error) {
            reject(error)
            return true
          }
        },
      })
      this.#owners.set(owner, jobs)
      if (this.#waiting++ === 0) this.#later()
    })
  }

  #later(): void {
    const { later = setImmediate } = this.#options
    later(() => this.#turn())
  }

  #turn(): void {
    const [next] = this.#owners
    if (!next) return
    const [owner, jobs] = next
    this.#owners.delete(owner)
    if (jobs[0]?.step()) {
      jobs.shift()
      this.#waiting--
    }
    if (jobs.length > 0) this.#owners.set(owner, jobs)
    if (this.#waiting > 0) this.#later()
  }
}
