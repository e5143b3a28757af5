import { isSilent, type Rhythm, SILENCE_RULES, type SilenceRules } from './silence.ts'

/** A shard, as far as its silence asks. */
export interface WatchedShard {
  readonly id: number
  /** Its session is live and its connection is read from. */
  readonly listening: boolean
  /** The last sequence of its session: another one means events. */
  readonly previousSequenceNumber: number | null
  /** The sequence of the last READY or RESUMED: these are no traffic. */
  readonly liveSequence: number
  /** When READY came in this process; its guilds follow, and they are no traffic either. */
  readonly readyAt: number
  leave(leaving: 'silence', why: string): void
}

type Entry = { -readonly [K in keyof Rhythm]: Rhythm[K] } & {
  sequence: number
  /** The last look that found traffic. */
  trafficAt: number
}

/**
 * Finds shards of a thread that Discord has forgotten, though it answers their heartbeats. Events are seen by the
 * sequence, at each look: nothing is added to what an event costs.
 */
export class SilenceWatch {
  readonly #rules: SilenceRules
  readonly #entries = new Map<number, Entry>()
  readonly #siblings = { connected: 0, lively: 0 }

  constructor(rules = SILENCE_RULES) {
    this.#rules = rules
  }

  /** One look at all shards of the thread, about once a second: leaves those that are silent. @returns how many. */
  look(shards: ReadonlyMap<number, WatchedShard>, now: number): number {
    const siblings = this.#siblings
    siblings.connected = siblings.lively = 0
    for (const shard of shards.values()) {
      const entry = this.#follow(shard, now)
      if (!shard.listening) continue
      siblings.connected++
      if (now - entry.trafficAt <= this.#rules.lately) siblings.lively++
    }
    // The shard in question is none of its siblings. It is not lively, or it would not be in question.
    siblings.connected--
    let left = 0
    for (const shard of shards.values()) if (this.#judge(shard, now)) left++
    return left
  }

  /** The shard is held no more. */
  forget(shardId: number): void {
    this.#entries.delete(shardId)
  }

  #follow(shard: WatchedShard, now: number): Entry {
    let entry = this.#entries.get(shard.id)
    if (!entry) {
      entry = {
        since: now,
        active: 0,
        lastAt: now,
        longest: 0,
        kicks: 0,
        kickedAt: 0,
        sequence: 0,
        trafficAt: Number.NEGATIVE_INFINITY,
      }
      this.#entries.set(shard.id, entry)
    }
    const sequence = shard.previousSequenceNumber ?? 0
    const events = sequence !== entry.sequence && sequence !== shard.liveSequence
    entry.sequence = sequence
    // What was not read, or is the guilds of a new session, says nothing of its rhythm.
    if (!shard.listening || now - shard.readyAt < this.#rules.arrival) entry.lastAt = now
    else if (events) {
      entry.longest = Math.max(entry.longest, now - entry.lastAt)
      entry.active++
      entry.lastAt = entry.trafficAt = now
    }
    return entry
  }

  #judge(shard: WatchedShard, now: number): boolean {
    const entry = this.#entries.get(shard.id)
    if (!entry || !shard.listening || !isSilent(entry, this.#siblings, now, this.#rules)) return false
    entry.kicks = now - entry.kickedAt >= this.#rules.forgiven ? 1 : entry.kicks + 1
    entry.kickedAt = now
    shard.leave(
      'silence',
      `no event for ${Math.round((now - entry.lastAt) / 1_000)} s, which is not usual for this shard`,
    )
    return true
  }
}
