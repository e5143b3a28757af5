import type { SHARD_STATES, ShardRecord } from '../protocol/state.ts'
import type { Clock } from '../support/clock.ts'
import type { WorkerLink } from './worker-link.ts'

export interface DirectoryOptions {
  readonly links: ReadonlyMap<number, WorkerLink>
  readonly totalShards: () => number | undefined
  /** The ordinal of the worker that shall hold a shard. */
  readonly ownerOf: (shardId: number) => number | undefined
  readonly clock: Clock
}

/** Where a shard is: the worker that holds it, and what that worker said of it last. */
export interface Place {
  readonly link: WorkerLink
  readonly record: ShardRecord
}

/** One shard, as whoever asks for it is told. Times are on the injected clock. */
export interface ShardStanding {
  readonly shardId: number
  /** `Unassigned`: no worker holds it now, because it is being moved or its worker is not there yet. */
  readonly state: (typeof SHARD_STATES)[number] | 'Unassigned'
  /** The worker that holds it; `connected`: it is heard now, else all this is what it said last. */
  readonly worker: { readonly ordinal: number; readonly name: string; readonly connected: boolean } | undefined
  /** Round trip of the last heartbeat, in milliseconds. */
  readonly latencyMs: number | undefined
  /** When its worker sent IDENTIFY for it; undefined: the session is older than its time on this worker. */
  readonly identifiedAt: number | undefined
  /** Sent by its worker's present process. */
  readonly identifies: number
  readonly resumes: number
  /** The last sequence that the sinks confirmed; undefined: it has no session. */
  readonly sequence: number | undefined
  /** How its last connection ended. */
  readonly closeCode: number | undefined
  readonly closeReason: string | undefined
}

/** A worker, and the round trips of the shards that are connected on it, in milliseconds, in no order. */
export interface WorkerCensus {
  readonly ordinal: number
  readonly name: string
  readonly connected: boolean
  readonly draining: boolean
  /** Shards that it holds. */
  readonly shards: number
  readonly latencyMs: Float64Array
}

/** How many shards are in which state, and what each worker holds. */
interface DirectoryCensus {
  readonly states: Readonly<Partial<Record<ShardStanding['state'], number>>>
  /** By ordinal. */
  readonly workers: readonly WorkerCensus[]
}

/** Which worker holds which shard now, from what the workers say. Opens nothing and decides nothing. */
export class ShardDirectory {
  readonly #options: DirectoryOptions

  constructor(options: DirectoryOptions) {
    this.#options = options
  }

  /** undefined: not known yet, because Discord's recommendation is. */
  get totalShards(): number | undefined {
    return this.#options.totalShards()
  }

  get workers(): Iterable<WorkerLink> {
    return this.#options.links.values()
  }

  /** The worker that shall hold the shard; undefined: it does not run. */
  ownerOf(shardId: number): WorkerLink | undefined {
    const ordinal = this.#options.ownerOf(shardId)
    return ordinal === undefined ? undefined : this.#options.links.get(ordinal)
  }

  /**
   * Who holds the shard. While it moves, its old and its new worker may both show it for a moment: then the one where
   * it is connected, else the one that it shall be on.
   */
  placeOf(shardId: number): Place | undefined {
    const owner = this.ownerOf(shardId)
    let best = owner && placeIn(owner, shardId)
    if (best && isConnected(best)) return best
    for (const link of this.workers) {
      const place = link === owner ? undefined : placeIn(link, shardId)
      if (place && (!best || isConnected(place))) best = place
    }
    return best
  }

  /** What is known of the shard, which is one of `totalShards`. */
  standing(shardId: number): ShardStanding {
    const place = this.placeOf(shardId)
    const { link, record } = place ?? {}
    const heardAt = link?.view.heardAt.get(shardId)
    return {
      shardId,
      state: record?.state ?? 'Unassigned',
      worker: link && { ordinal: link.ref.ordinal, name: link.ref.name, connected: link.view.connected },
      latencyMs: record?.rttMs,
      identifiedAt:
        record?.identifiedMsAgo === undefined || heardAt === undefined ? undefined : heardAt - record.identifiedMsAgo,
      identifies: record?.identifies ?? 0,
      resumes: record?.resumes ?? 0,
      sequence: record?.session?.sequence,
      closeCode: record?.closeCode,
      closeReason: record?.reason,
    }
  }

  /**
   * Counts the shards of `totalShards`, and says what each worker holds. Yields after each `atOnce` records, so that
   * 100,000 shards are not counted in one turn of the event loop; where nothing runs there is nothing to count.
   */
  *census(totalShards: number, atOnce: number): Generator<void, DirectoryCensus> {
    const states: Partial<Record<ShardStanding['state'], number>> = {}
    const workers: WorkerCensus[] = []
    let placed = 0
    let seen = 0
    for (const link of [...this.workers].sort((a, b) => a.ref.ordinal - b.ref.ordinal)) {
      const latencies: number[] = []
      for (const record of link.view.shards.values()) {
        if (++seen % atOnce === 0) yield
        if (record.shardId >= totalShards || this.placeOf(record.shardId)?.link !== link) continue
        placed++
        states[record.state] = (states[record.state] ?? 0) + 1
        if (isConnected({ link, record }) && record.rttMs !== undefined) latencies.push(record.rttMs)
      }
      const { ordinal, name } = link.ref
      const { connected, draining, shards } = link.view
      const latencyMs = Float64Array.from(latencies)
      workers.push({ ordinal, name, connected, draining, shards: shards.size, latencyMs })
    }
    // What moves in between is counted twice, or not at all.
    const unassigned = Math.max(0, totalShards - placed)
    return { states: unassigned > 0 ? { ...states, Unassigned: unassigned } : states, workers }
  }
}

function placeIn(link: WorkerLink, shardId: number): Place | undefined {
  const record = link.view.shards.get(shardId)
  return record && { link, record }
}

const isConnected = ({ link, record }: Place): boolean => link.view.connected && record.state === 'Connected'
