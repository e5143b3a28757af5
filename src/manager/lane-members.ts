import { commonConcurrency } from '../domain/identify-order.ts'
import { left, observeBudget, spend, strictest } from '../domain/start-budget.ts'
import { type Clock, timeText } from '../support/clock.ts'
import type { LaneMember } from './lane-member.ts'
import type { SessionInfo } from './session-info.ts'

/** Discord's window: a ShardCluster that wants a longer one waits for it alone. Milliseconds. */
const DISCORD_WINDOW_MS = 5_000

/** The ShardClusters of a lane. Each knows Discord's limits from its own REST proxy: of what they heard the strictest counts. */
export class LaneMembers {
  readonly #clock: Clock
  readonly #members = new Map<string, LaneMember>()
  /** Made once an answer: the same moment must not look different each time it is shown. */
  readonly #resetTimes = new WeakMap<LaneMember, string>()
  #spent = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  [Symbol.iterator](): Iterator<LaneMember> {
    return this.#members.values()
  }

  get size(): number {
    return this.#members.size
  }

  /** `namespace/name` of each. */
  get clusters(): string[] {
    return [...this.#members.keys()]
  }

  get(cluster: string): LaneMember | undefined {
    return this.#members.get(cluster)
  }

  add(member: LaneMember): void {
    this.#members.set(member.cluster, member)
  }

  /** What it said counts no more. */
  delete(member: LaneMember): void {
    member.stop()
    if (this.#members.get(member.cluster) === member) this.#members.delete(member.cluster)
  }

  /** max_concurrency that is right whoever of them heard the true one; undefined: none was answered yet. */
  get maxConcurrency(): number | undefined {
    const heard = [...this].flatMap(({ info }) => (info ? [info.limit.maxConcurrency] : []))
    return heard.length === 0 ? undefined : commonConcurrency(heard)
  }

  /** The ledger with the least left; undefined before the first answer. */
  get ledger() {
    return strictest([...this])?.ledger
  }

  /** What is left of the day, and when it is counted anew (RFC 3339). */
  get budget(): { left: number; total: number; resetTime: string } | undefined {
    const member = strictest([...this])
    const ledger = member?.ledger
    if (!ledger) return undefined
    return { left: left(ledger), total: ledger.total, resetTime: this.#resetTimes.get(member) ?? '' }
  }

  /** IDENTIFYs that left, or may have, since the lane began. */
  get spent(): number {
    return this.#spent
  }

  /** One more IDENTIFY left, or may have: it counts for all. */
  spend(): void {
    this.#spent++
    for (const member of this) if (member.ledger) member.ledger = spend(member.ledger)
  }

  /** What the REST proxy of a member said. `spentBefore`: `spent` when the question left. */
  learn(member: LaneMember, { limit }: SessionInfo, spentBefore: number): void {
    member.ledger = observeBudget(limit, this.#clock.now(), this.#spent - spentBefore)
    this.#resetTimes.set(member, timeText(this.#clock, member.ledger.resetAt))
  }

  /** The window of a bucket, Discord's at most, and the ShardClusters that want more, each with its own; milliseconds. */
  windows(): { readonly window: number; readonly slower: ReadonlyMap<string, number> } {
    let window = 0
    const slower = new Map<string, number>()
    for (const { cluster, source } of this) {
      const wanted = source?.windowMilliseconds ?? 0
      window = Math.max(window, commonWindow(wanted))
      if (wanted > DISCORD_WINDOW_MS) slower.set(cluster, wanted)
    }
    return { window, slower }
  }
}

/** What others have to leave between IDENTIFYs for a ShardCluster that wants so many milliseconds. */
export const commonWindow = (wanted: number): number => Math.min(wanted, DISCORD_WINDOW_MS)
