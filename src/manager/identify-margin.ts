import type { Clock } from '../support/clock.ts'

/** The margin, as parts of the window: network jitter; it doubles when op 9 is seen and never shrinks. */
const LEAST = 0.01
const MOST = 0.1

/**
 * A late READY moves a slot by at most this much, in milliseconds. Discord's READY may take a second or two for reasons
 * of its own; letting all of that count would make the start of a large bot some per cent longer for nothing.
 */
const MOST_LATE_MS = 50

/** So many answers tell what is usual. Before, none is: when all shards of a first wave are slow together, none looks late. */
const REMEMBERED = 64

/**
 * How much longer than the window a bucket is left alone. Discord's window begins when it takes an IDENTIFY, which is
 * somewhere between its sending and READY: one that was held up (a lost packet, a stalled host) opens its bucket later
 * than the next one, which is not held up, would arrive.
 *
 * Steps: (1) a margin covers what jitter is usual; (2) READY that came later than usual, by more than the margin,
 * means that IDENTIFY may have arrived as much later; (3) op 9 proves the margin too small: it doubles, but once a
 * window, because all that one stall delayed is refused at once and still is one fact.
 *
 * Properties: a slot moves by at most a tenth of the window and 50 ms, and where all answers take equally long none moves.
 */
export class IdentifyMargin {
  readonly #clock: Clock
  readonly #answers: number[] = []
  #factor = LEAST
  #grewAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** In milliseconds, for a window of so many. */
  of(window: number): number {
    return window * this.#factor
  }

  /** When Discord took an IDENTIFY, at the latest as far as can be told, that was sent at `sentAt` and answered by READY `answeredInMs` later. */
  takenAt(sentAt: number, answeredInMs: number, window: number): number {
    const usual = this.#usual()
    this.#answers.push(answeredInMs)
    if (this.#answers.length > REMEMBERED) this.#answers.shift()
    const late = answeredInMs - usual - this.of(window)
    return sentAt + Math.min(Math.max(0, late), window * MOST, MOST_LATE_MS)
  }

  /** Discord answered with op 9. @returns whether the margin grew. */
  tooEarly(window: number): boolean {
    const now = this.#clock.now()
    if (now - this.#grewAt < window || this.#factor >= MOST) return false
    this.#grewAt = now
    this.#factor = Math.min(MOST, this.#factor * 2)
    return true
  }

  #usual(): number {
    const sorted = this.#answers.length < REMEMBERED ? [] : this.#answers.toSorted((a, b) => a - b)
    return sorted[REMEMBERED / 2] ?? 0
  }
}
