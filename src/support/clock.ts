/** Cancels what was scheduled; calling it again, or after it ran, does nothing. */
export type Cancel = () => void

/**
 * Time as everything that decides sees it. Injected, so that a simulation runs hours of schedule in milliseconds
 * and a test never waits for the wall clock.
 */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. Only differences mean something. */
  now(): number
  /** Wall-clock time, for status and logs only; never compared across machines. */
  date(): Date
  /** Runs `action` once, `milliseconds` from now (0 or less: as soon as possible). */
  after(milliseconds: number, action: () => void): Cancel
}

/** The longest delay setTimeout takes (2^31 - 1 ms); beyond it Node fires at once. */
const LONGEST_TIMEOUT = 2_147_483_647

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(milliseconds, action) {
    const timer = setTimeout(action, Math.min(Math.max(0, milliseconds), LONGEST_TIMEOUT))
    return () => clearTimeout(timer)
  },
}

/** Resolves after `milliseconds`, or at once when `signal` aborts. Never rejects: callers look at the signal. */
export function sleep(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(milliseconds, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** The end of the year 9999, which is the last that RFC 3339 can write and that the API server takes. */
const LAST_MOMENT = Date.UTC(9999, 11, 31, 23, 59, 59)

/**
 * A moment on `clock` as RFC 3339, to the second: how times appear in status and messages. Whatever is before 1970 or
 * after 9999 is shown as these, and what is no number as 9999: a time that nobody can write must not keep the rest back.
 */
export function timeText(clock: Clock, at: number): string {
  const moment = clock.date().getTime() + (at - clock.now())
  const shown = Number.isNaN(moment) ? LAST_MOMENT : Math.min(Math.max(0, moment), LAST_MOMENT)
  return new Date(shown).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
