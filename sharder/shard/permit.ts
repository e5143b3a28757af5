import type { Failure, FailureCode } from '../../src/protocol/failures.ts'
import type { Cancel, Clock } from '../../src/support/clock.ts'

/** What became of a permit. */
export type IdentifyOutcome =
  | { readonly identified: true; readonly identifiedMsAgo: number }
  | ({ readonly identified: false; readonly code: FailureCode; readonly message: string } & Pick<
      Failure,
      'closeCode' | 'identifiedMsAgo'
    >)

export const notIdentified = (
  code: FailureCode,
  message: string,
  more: Pick<Failure, 'closeCode' | 'identifiedMsAgo'> = {},
): IdentifyOutcome => ({ identified: false, code, message, ...more })

/** The right to send one IDENTIFY, once, for as long as the request that carries it is open. */
export class Permit {
  /** When IDENTIFY shall leave, on the injected clock. */
  readonly slotAt: number
  /** Whether the slot is a moment to be met; else IDENTIFY leaves as soon as it can. */
  readonly exact: boolean
  /** Aborted: whoever gave it has gone. */
  readonly signal: AbortSignal
  readonly outcome: Promise<IdentifyOutcome>
  #settle: (outcome: IdentifyOutcome) => void = () => {}
  #settled = false

  constructor(slotAt: number, exact: boolean, signal: AbortSignal) {
    this.slotAt = slotAt
    this.exact = exact
    this.signal = signal
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  get settled(): boolean {
    return this.#settled
  }

  /** The first outcome counts. */
  settle(outcome: IdentifyOutcome): void {
    this.#settled = true
    this.#settle(outcome)
  }
}

/** Timers fire up to this much late on a busy loop, and up to one early; the rest is polled. In milliseconds. */
const TIMER_SLACK_MS = 2

/** Runs `action` at `at` on `clock`, never before it and hardly after: a bucket is not free a moment sooner. */
export function exactlyAt(clock: Clock, at: number, action: () => void): Cancel {
  let stopped = false
  const poll = () => {
    if (stopped) return
    if (clock.now() >= at) action()
    else setImmediate(poll)
  }
  const cancel = clock.after(at - clock.now() - TIMER_SLACK_MS, poll)
  return () => {
    stopped = true
    cancel()
  }
}
