import type { Clock } from '../src/support/clock.ts'

/**
 * `ask` for many who want to know at once: it runs once at a time, and what it found is told for `keptMs` after that.
 * Whoever asks while it runs waits for the same answer. A failure is told to those who waited and then forgotten.
 */
export function keptAnswer<T>(clock: Clock, keptMs: number, ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined
  /** While `ask` runs there is no end to it. */
  let until = Number.POSITIVE_INFINITY
  return () => {
    if (asked && clock.now() < until) return asked
    until = Number.POSITIVE_INFINITY
    const current = ask()
    asked = current
    current.then(
      () => {
        until = clock.now() + keptMs
      },
      () => {
        asked = undefined
      },
    )
    return current
  }
}
