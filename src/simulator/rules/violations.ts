/**
 * What a bot did against Discord's rules.
 * `bucket`: an IDENTIFY before its bucket was free. `startLimit`: an IDENTIFY beyond the day's budget (the token was
 * reset: the worst). `sendLimit`: more than 120 payloads a minute. `doubleOwner`: two live connections for one
 * [shard, total] at once. `heartbeat`: no heartbeat in time. `slowConsumer`: fell behind by more than the replay
 * buffer. `protocol`: a payload Discord answers with a close code.
 */
export type ViolationKind =
  | 'bucket'
  | 'startLimit'
  | 'sendLimit'
  | 'doubleOwner'
  | 'heartbeat'
  | 'slowConsumer'
  | 'protocol'

/** One violation; `at` is an ISO time, `shard` is `[id, total]` when known. Never holds a token. */
export interface Violation {
  readonly kind: ViolationKind
  readonly at: string
  readonly detail: string
  readonly shard?: readonly [number, number]
}

/** Counts of every kind. */
export type ViolationCounts = Record<ViolationKind, number>

const none = (): ViolationCounts => ({
  bucket: 0,
  startLimit: 0,
  sendLimit: 0,
  doubleOwner: 0,
  heartbeat: 0,
  slowConsumer: 0,
  protocol: 0,
})

/** Counts violations and keeps the newest ones in words. */
export class Violations {
  readonly #keep: number
  readonly #date: () => Date
  #counts = none()
  #newest: Violation[] = []

  /** Keeps the newest `keep` details; `date` gives the wall-clock time of one. */
  constructor(keep: number, date: () => Date) {
    this.#keep = keep
    this.#date = date
  }

  add(kind: ViolationKind, detail: string, shard?: readonly [number, number]): void {
    this.#counts[kind] += 1
    this.#newest.push({ kind, at: this.#date().toISOString(), detail, ...(shard === undefined ? {} : { shard }) })
    if (this.#newest.length > this.#keep) this.#newest.shift()
  }

  get counts(): ViolationCounts {
    return { ...this.#counts }
  }

  /** The newest details, oldest first. */
  get newest(): readonly Violation[] {
    return [...this.#newest]
  }

  reset(): void {
    this.#counts = none()
    this.#newest = []
  }
}
