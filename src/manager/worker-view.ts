import type { Range } from '../domain/ranges.ts'
import { shardsOf } from '../domain/ranges.ts'
import type { Session } from '../protocol/session.ts'
import type { Assignment, ShardRecord, SinkRecord, StateRecord } from '../protocol/state.ts'

/** What a record was about. */
export interface Changed {
  readonly shardIds: readonly number[]
  /** Which shards the worker holds changed, or whether it takes commands: not only what state they are in. */
  readonly structural: boolean
  /** Sessions that the worker keeps of shards it does not hold. */
  readonly kept?: readonly Session[]
}

/** What one worker said of itself last. Holds no clock and opens nothing: `apply` is all that changes it. */
export class WorkerView {
  connected = false
  draining = false
  /** Its last record was read; every shard is closed and its sinks have confirmed. */
  drained = false
  bootId: string | undefined
  epoch = 0
  assignment: Assignment | undefined
  readonly shards = new Map<number, ShardRecord>()
  /** When each of them was last heard of, on the injected clock: what a record says in `…MsAgo` was so long before. */
  readonly heardAt = new Map<number, number>()
  sinks: readonly SinkRecord[] = []
  finalSessions: readonly Session[] = []
  /** Shards that it gave up, and whose sessions it may be the last to keep. */
  readonly parted = new Set<number>()
  /** On the injected clock. */
  lastHeardAt = Number.NEGATIVE_INFINITY

  readonly ordinal: number
  readonly #presumed: Range | undefined

  constructor(ordinal: number, presumed?: Range) {
    this.ordinal = ordinal
    this.#presumed = presumed
  }

  /** Shards it holds or, as long as it was never heard, may hold. */
  held(): ReadonlySet<number> {
    if (this.bootId === undefined) return new Set(this.#presumed ? shardsOf(this.#presumed) : [])
    return new Set(this.shards.keys())
  }

  /** Its process is gone for good, with all that it held. */
  holdsNothing(): void {
    this.bootId = 'gone'
    this.shards.clear()
    this.parted.clear()
  }

  /** Shards with an IDENTIFY under way, or about to be. */
  identifying(): ReadonlySet<number> {
    const shardIds = new Set<number>()
    for (const { shardId, state } of this.shards.values())
      if (state === 'Connecting' || state === 'Identifying') shardIds.add(shardId)
    return shardIds
  }

  /** Takes a record that arrived at `now` (milliseconds on the injected clock). */
  apply(record: StateRecord, now: number): Changed {
    this.lastHeardAt = now
    switch (record.type) {
      case 'SNAPSHOT':
        this.connected = true
        this.draining = record.draining
        this.drained = false
        this.bootId = record.bootId
        this.epoch = record.epoch
        this.assignment = record.assignment
        this.sinks = record.sinks
        this.shards.clear()
        this.heardAt.clear()
        this.#take(record.shards, now)
        this.parted.clear()
        for (const { shardId } of record.sessions) if (!this.shards.has(shardId)) this.parted.add(shardId)
        return { structural: true, shardIds: [...this.shards.keys()], kept: record.sessions }
      case 'DELTA': {
        const { size } = this.shards
        const drains = record.draining === true && !this.draining
        // It carried out a command: what was offered with it is no longer on its way.
        const obeyed = record.epoch !== undefined && record.epoch !== this.epoch
        this.draining = record.draining ?? this.draining
        this.epoch = record.epoch ?? this.epoch
        this.sinks = record.sinks ?? this.sinks
        this.#take(record.shards, now)
        const structural = drains || obeyed || record.gone.length > 0 || this.shards.size !== size
        for (const shardId of record.gone) this.shards.delete(shardId)
        return { structural, shardIds: record.shards.map(({ shardId }) => shardId).concat(record.gone) }
      }
      case 'DRAINED':
        this.draining = true
        this.drained = true
        this.finalSessions = record.sessions
        this.shards.clear()
        return { structural: true, shardIds: [] }
    }
  }

  #take(shards: readonly ShardRecord[], now: number): void {
    for (const shard of shards) {
      this.shards.set(shard.shardId, shard)
      this.heardAt.set(shard.shardId, now)
    }
  }
}
