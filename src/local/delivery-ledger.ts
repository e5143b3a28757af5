import { Missing } from './missing.ts'

/** What has been delivered of one shard, or of all of them. */
export interface Delivery {
  readonly events: number
  /** Events that had been delivered before: at least once is the promise. */
  readonly duplicates: number
  /** Times that a sequence came too early. */
  readonly gaps: number
  /** Sequences that were jumped over and have not come since. */
  readonly lost: number
  /** Sessions that began: READY was delivered. */
  readonly sessions: number
  /** The longest time without an event, in milliseconds, the present one included; 0 before the first event. */
  readonly longestSilenceMs: number
}

/** One shard's delivery. */
export interface ShardDelivery extends Delivery {
  /** The furthest sequence of the present session. */
  readonly sequence: number
}

/** A longest silence, and whose. */
export interface Silence {
  readonly shardId: number
  readonly milliseconds: number
}

/** All that a ledger knows. */
export interface LedgerStats extends Delivery {
  /** Mean over the last whole seconds. */
  readonly eventsPerSecond: number
  /** The ten longest, longest first. */
  readonly silences: readonly Silence[]
  readonly shards: Readonly<Record<string, ShardDelivery>>
}

/** One event, as far as a ledger looks at it. */
export interface DeliveredEvent {
  readonly shardId: number
  readonly type: string
  readonly sequence: number
  /** Of a READY: the session that begins. */
  readonly sessionId?: string | undefined
}

interface Entry {
  sessionId: string | undefined
  sequence: number
  events: number
  duplicates: number
  gaps: number
  sessions: number
  /** Of sessions that are over: they will not come any more. */
  lostBefore: number
  missing: Missing
  lastAt: number
  longestSilenceMs: number
}

const TOP = 10
/** Seconds over which the rate is a mean. */
const RATE_SECONDS = 5

/**
 * Checks a delivery event by event: what came twice, what is missing, how long each shard was silent. It needs nothing
 * but `shardId`, `t` and `s`, which every bot has, and its memory is bounded by the number of shards.
 *
 * Steps: 1. READY of a session that is not the present one begins a session, and its sequence is where the count
 * starts; what was missing of the one before is lost for good. 2. The next sequence is the rule. 3. A later one leaves
 * a gap: what it jumped over is missing until it comes. 4. An earlier one fills a gap, or is a duplicate.
 * A shard whose first event is not a READY (the bot was started later) is counted from that event on.
 */
export class DeliveryLedger {
  readonly #now: () => number
  readonly #shards = new Map<number, Entry>()
  /** Events of the last seconds, by second. */
  readonly #rate = new Map<number, number>()

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Enters one event that was delivered. */
  add(event: DeliveredEvent): void {
    const now = this.#now()
    const entry = this.#shards.get(event.shardId) ?? this.#first(event, now)
    entry.longestSilenceMs = Math.max(entry.longestSilenceMs, now - entry.lastAt)
    entry.lastAt = now
    entry.events += 1
    this.#countSecond(Math.floor(now / 1000))
    if (event.type === 'READY' && event.sessionId !== entry.sessionId) begin(entry, event)
    else follow(entry, event.sequence)
  }

  /** Measures silences anew from now on, so that one change after another can be told apart. */
  restartSilences(): void {
    const now = this.#now()
    for (const entry of this.#shards.values()) {
      entry.longestSilenceMs = 0
      entry.lastAt = now
    }
  }

  stats(): LedgerStats {
    const now = this.#now()
    const rows = [...this.#shards].map(([shardId, entry]) => ({ shardId, ...delivery(entry, now) }))
    const sum = (key: keyof Delivery) => rows.reduce((total, row) => total + row[key], 0)
    const longest = rows.toSorted((a, b) => b.longestSilenceMs - a.longestSilenceMs)
    return {
      events: sum('events'),
      duplicates: sum('duplicates'),
      gaps: sum('gaps'),
      lost: sum('lost'),
      sessions: sum('sessions'),
      longestSilenceMs: longest[0]?.longestSilenceMs ?? 0,
      eventsPerSecond: this.#eventsPerSecond(Math.floor(now / 1000)),
      silences: longest.slice(0, TOP).map((row) => ({ shardId: row.shardId, milliseconds: row.longestSilenceMs })),
      shards: Object.fromEntries(rows.map(({ shardId, ...row }) => [shardId, row])),
    }
  }

  #first({ shardId, type, sequence }: DeliveredEvent, now: number): Entry {
    const entry: Entry = {
      sessionId: undefined,
      // What came before this bot was there is not missing.
      sequence: type === 'READY' ? 0 : sequence - 1,
      events: 0,
      duplicates: 0,
      gaps: 0,
      sessions: 0,
      lostBefore: 0,
      missing: new Missing(),
      lastAt: now,
      longestSilenceMs: 0,
    }
    this.#shards.set(shardId, entry)
    return entry
  }

  #countSecond(second: number): void {
    this.#rate.set(second, (this.#rate.get(second) ?? 0) + 1)
    if (this.#rate.size > RATE_SECONDS + 1) this.#forgetBefore(second - RATE_SECONDS)
  }

  #eventsPerSecond(second: number): number {
    this.#forgetBefore(second - RATE_SECONDS)
    let events = 0
    for (const [of, count] of this.#rate) if (of < second) events += count
    return events / RATE_SECONDS
  }

  #forgetBefore(second: number): void {
    for (const known of this.#rate.keys()) if (known < second) this.#rate.delete(known)
  }
}

function begin(entry: Entry, { sequence, sessionId }: DeliveredEvent): void {
  entry.lostBefore += entry.missing.count
  entry.missing = new Missing()
  entry.sessionId = sessionId
  entry.sessions += 1
  entry.sequence = sequence
}

function follow(entry: Entry, sequence: number): void {
  if (sequence > entry.sequence + 1) {
    entry.gaps += 1
    entry.missing.add(entry.sequence + 1, sequence - 1)
  }
  if (sequence > entry.sequence) entry.sequence = sequence
  else if (!entry.missing.take(sequence)) entry.duplicates += 1
}

function delivery(entry: Entry, now: number): ShardDelivery {
  const { sequence, events, duplicates, gaps, sessions, lostBefore, missing, longestSilenceMs, lastAt } = entry
  const lost = lostBefore + missing.count
  const silence = Math.round(Math.max(longestSilenceMs, now - lastAt))
  return { sequence, events, duplicates, gaps, lost, sessions, longestSilenceMs: silence }
}
