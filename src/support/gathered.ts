import type { Cancel, Clock } from './clock.ts'

/**
 * One piece of work for all who ask for its result: what is asked while it is under way, or less than `paceMs` after
 * it began last, waits for the next. So nobody is told anything older than the question, and however many ask, it is
 * done once in `paceMs`.
 */
export class Gathered<T> {
  readonly #clock: Clock
  readonly #paceMs: number
  readonly #work: () => Promise<T>
  #next: { readonly result: Promise<T>; readonly begin: () => void } | undefined
  #beganAt = Number.NEGATIVE_INFINITY
  #underWay = false
  #scheduled: Cancel | undefined

  constructor(clock: Clock, paceMs: number, work: () => Promise<T>) {
    this.#clock = clock
    this.#paceMs = paceMs
    this.#work = work
  }

  /** Rejects with what the work rejects with. */
  ask(): Promise<T> {
    if (this.#next) return this.#next.result
    const { promise, resolve } = Promise.withResolvers<void>()
    const result = promise.then(this.#work)
    this.#next = { result, begin: resolve }
    this.#schedule()
    return result
  }

  #schedule(): void {
    if (this.#underWay || this.#scheduled || !this.#next) return
    const waitMs = this.#beganAt + this.#paceMs - this.#clock.now()
    if (waitMs <= 0) this.#begin()
    else
      this.#scheduled = this.#clock.after(waitMs, () => {
        this.#scheduled = undefined
        this.#begin()
      })
  }

  #begin(): void {
    if (!this.#next) return
    const { result, begin } = this.#next
    this.#next = undefined
    this.#underWay = true
    this.#beganAt = this.#clock.now()
    const done = () => {
      this.#underWay = false
      this.#schedule()
    }
    begin()
    result.then(done, done)
  }
}
