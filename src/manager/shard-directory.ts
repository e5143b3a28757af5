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

  /** Every shard, by its id; none as long as their number is not known. */
  standings(): ShardStanding[] {
    return Array.from({ length: this.totalShards ?? 0 }, (_, shardId) => this.standing(shardId))
  }
}

function placeIn(link: WorkerLink, shardId: number): Place | undefined {
  const record = link.view.shards.get(shardId)
  return record && { link, record }
}

const isConnected = ({ link, record }: Place): boolean => link.view.connected && record.state === 'Connected'
