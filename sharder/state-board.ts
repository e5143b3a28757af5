import type { Session } from '../src/protocol/session.ts'
import type { Delta, Drained, SinkRecord, Snapshot } from '../src/protocol/state.ts'
import type { Clock } from '../src/support/clock.ts'
import { SessionShelf } from './session-shelf.ts'
import { type ShardSummary, shardRecord } from './shard/summary.ts'
import type { GroupReport } from './shard-group.ts'

/** Who follows the board: told what changed, never what it is, so that a slow one costs nothing. */
export interface Watcher {
  /** `urgent`: a state changed; else a sequence or a round trip. */
  shardChanged(shardId: number, urgent: boolean): void
  shardGone(shardId: number): void
  headChanged(): void
  drained(record: Drained): void
}

/** What a worker says of itself besides its shards. */
export type Head = Omit<Snapshot, 'type' | 'shards' | 'sinks' | 'sessions'>

/** Everything the main thread knows: each shard's last summary, the sinks, the assignment. */
export class StateBoard {
  /** Sessions that have no shard here. */
  readonly shelf: SessionShelf
  readonly #clock: Clock
  readonly #shards = new Map<number, ShardSummary>()
  readonly #sinks = new Map<number, readonly SinkRecord[]>()
  readonly #watchers = new Set<Watcher>()
  #head: Head
  #drained: Drained | undefined

  constructor(clock: Clock, head: Head, shelf = new SessionShelf(clock)) {
    this.shelf = shelf
    this.#clock = clock
    this.#head = head
  }

  /** The last word of a worker that has drained. */
  get lastWord(): Drained | undefined {
    return this.#drained
  }

  get head(): Head {
    return this.#head
  }

  get shardIds(): Iterable<number> {
    return this.#shards.keys()
  }

  shard(shardId: number): ShardSummary | undefined {
    return this.#shards.get(shardId)
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    if (this.#drained) watcher.drained(this.#drained)
    return () => this.#watchers.delete(watcher)
  }

  setHead(change: Partial<Head>): void {
    this.#head = { ...this.#head, ...change }
    for (const watcher of this.#watchers) watcher.headChanged()
  }

  put(summary: ShardSummary): void {
    this.#shards.set(summary.shardId, summary)
    for (const watcher of this.#watchers) watcher.shardChanged(summary.shardId, true)
  }

  remove(shardId: number): void {
    if (!this.#shards.delete(shardId)) return
    for (const watcher of this.#watchers) watcher.shardGone(shardId)
  }

  /** Takes what thread `index` reported. Shards that are no longer held here are ignored. */
  report(index: number, { shards = [], checkpoint, sinks }: GroupReport): void {
    for (const summary of shards) if (this.#shards.has(summary.shardId)) this.put(summary)
    if (checkpoint) this.#takeCheckpoint(checkpoint)
    if (!sinks) return
    this.#sinks.set(index, sinks)
    for (const watcher of this.#watchers) watcher.headChanged()
  }

  drained(sessions: readonly Session[]): void {
    this.#drained = { type: 'DRAINED', sessions: [...sessions] }
    for (const watcher of this.#watchers) watcher.drained(this.#drained)
  }

  snapshot(): Snapshot {
    const now = this.#clock.now()
    const shards = [...this.#shards.values()].map((summary) => shardRecord(summary, now))
    return { type: 'SNAPSHOT', ...this.#head, sinks: this.#sinkRecords(), shards, sessions: this.shelf.all() }
  }

  /** A delta with these shards as they are now. */
  delta(shardIds: Iterable<number>, gone: readonly number[], withHead: boolean): Delta {
    const now = this.#clock.now()
    const shards = [...shardIds].flatMap((shardId) => {
      const summary = this.#shards.get(shardId)
      return summary ? [shardRecord(summary, now)] : []
    })
    const { epoch, draining } = this.#head
    return { type: 'DELTA', shards, gone: [...gone], ...(withHead && { epoch, draining, sinks: this.#sinkRecords() }) }
  }

  #takeCheckpoint(rows: Float64Array): void {
    for (let i = 0; i + 2 < rows.length; i += 3) {
      const [shardId = 0, sequence = 0, rtt = -1] = rows.subarray(i, i + 3)
      const known = this.#shards.get(shardId)
      if (!known) continue
      const session = known.session && { ...known.session, sequence }
      this.#shards.set(shardId, { ...known, ...(session && { session }), ...(rtt >= 0 && { rttMs: rtt }) })
      for (const watcher of this.#watchers) watcher.shardChanged(shardId, false)
    }
  }

  /** One record a sink: the worst state of any thread, and what waits in all of them. */
  #sinkRecords(): SinkRecord[] {
    const merged = new Map<string, SinkRecord>()
    for (const record of [...this.#sinks.values()].flat()) {
      const known = merged.get(record.name)
      const worse = !known || RANK[record.state] > RANK[known.state] ? record : known
      merged.set(record.name, { ...worse, pending: record.pending + (known?.pending ?? 0) })
    }
    return [...merged.values()]
  }
}

const RANK: Record<SinkRecord['state'], number> = { Flowing: 0, Failing: 1, Unauthorized: 2 }
