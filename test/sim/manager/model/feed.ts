import type { VirtualClock } from '../../../support/virtual-clock.ts'

/** A sink of one process: confirms what was read a moment later, or, while it stalls, nothing. */
export class SimSink {
  readonly #clock: VirtualClock
  readonly #delayMs: number
  #stalledAt: number | undefined
  #waiting: (() => void)[] = []

  constructor(clock: VirtualClock, delayMs: number) {
    this.#clock = clock
    this.#delayMs = delayMs
  }

  stall(): void {
    this.#stalledAt ??= this.#clock.now()
  }

  flow(): void {
    this.#stalledAt = undefined
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Everything read before this is confirmed. */
  get confirmedBefore(): number {
    return Math.min(this.#clock.now(), this.#stalledAt ?? Number.POSITIVE_INFINITY) - this.#delayMs
  }

  /** Resolves when what was read is confirmed, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    const until = this.#clock.now() + timeoutMs
    if (this.#stalledAt !== undefined)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        this.#clock.after(timeoutMs, resolve)
      })
    if (this.#clock.now() < until) await new Promise<void>((resolve) => this.#clock.after(this.#delayMs + 1, resolve))
  }
}

/** Events of a session come at this pace, beginning with READY as the first. Milliseconds; 0: only READY. */
export class SimTraffic {
  readonly startedAt: number
  readonly periodMs: number
  /** What the bot has confirmed of the session, without a gap. */
  confirmed = 0

  constructor(startedAt: number, periodMs: number) {
    this.startedAt = startedAt
    this.periodMs = periodMs
  }

  /** The last sequence that Discord had made by `at`. */
  sequenceAt(at: number): number {
    if (at < this.startedAt) return 0
    return this.periodMs === 0 ? 1 : 1 + Math.floor((at - this.startedAt) / this.periodMs)
  }
}

/** A session's events on their way through one process: read, and confirmed up to where the sink is. */
export class SimFeed {
  readonly #clock: VirtualClock
  readonly #sink: SimSink
  readonly #traffic: SimTraffic
  /** Where the connection stopped reading; undefined: it reads. */
  #stoppedAt: number | undefined

  constructor(clock: VirtualClock, sink: SimSink, traffic: SimTraffic) {
    this.#clock = clock
    this.#sink = sink
    this.#traffic = traffic
  }

  read(): void {
    this.#stoppedAt = undefined
  }

  stop(): void {
    this.#stoppedAt ??= this.#clock.now()
  }

  /** The last sequence that was read. */
  get sequence(): number {
    return this.#traffic.sequenceAt(this.#stoppedAt ?? this.#clock.now())
  }

  /** The last sequence that the bot confirmed; the bot knows it from now on. */
  get acknowledged(): number {
    const before = Math.min(this.#sink.confirmedBefore, this.#stoppedAt ?? Number.POSITIVE_INFINITY)
    this.#traffic.confirmed = Math.max(this.#traffic.confirmed, this.#traffic.sequenceAt(before))
    return this.#traffic.confirmed
  }
}
