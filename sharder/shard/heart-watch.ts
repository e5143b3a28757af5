/** What is wrong with a connection's heartbeats. */
export type HeartFault =
  /** Nothing was read for about two intervals. */
  | 'unheard'
  /** No heartbeat left for about as long: its timer is broken. */
  | 'beatless'

/**
 * Sees that a connection's heart beats, without a timer of its own and without the one that it watches. Silence is
 * counted in looks, not by the clock: a thread that stood still looked once meanwhile, and that silence was its own.
 */
export class HeartWatch {
  #unheardLooks = 0
  #beatlessLooks = 0
  #heard = false
  #beaten = false

  /** Something was read. This is the hot path. */
  heard(): void {
    this.#heard = true
  }

  /** A heartbeat left. */
  beaten(): void {
    this.#beaten = true
  }

  /** Counts anew: a connection begins, or nothing is read on purpose. */
  restart(): void {
    this.#unheardLooks = this.#beatlessLooks = 0
    this.#heard = this.#beaten = false
  }

  /** Called every `everyMs` at the earliest, with the connection's heartbeat interval. */
  look(intervalMs: number, everyMs: number): HeartFault | undefined {
    this.#unheardLooks = this.#heard ? 0 : this.#unheardLooks + 1
    this.#beatlessLooks = this.#beaten ? 0 : this.#beatlessLooks + 1
    this.#heard = this.#beaten = false
    const most = looksOf(intervalMs, everyMs)
    if (this.#unheardLooks >= most) return 'unheard'
    return this.#beatlessLooks >= most ? 'beatless' : undefined
  }
}

/**
 * How many looks in a row may find nothing: so many that two intervals are not over when the last of them is due, because
 * the first may come a whole pause after the silence began; and at least one and a half intervals, because one is usual.
 */
export const looksOf = (intervalMs: number, everyMs: number): number =>
  Math.max(Math.ceil((1.5 * intervalMs) / everyMs), Math.floor((2 * intervalMs) / everyMs) - 1)
