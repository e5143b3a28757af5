import { hashType, head } from '../shard/payload-head.ts'
import type { EventNames } from './event-names.ts'
import type { FeedMark } from './feed-mark.ts'
import { guildTime } from './guild-id.ts'
import type { Lane } from './lane.ts'
import type { Feed } from './sink.ts'
import type { Arrival } from './slab.ts'

/** Events whose `d` is a guild: its id is `d.id`, not `d.guild_id`. */
const GUILDS = new Set(['GUILD_CREATE', 'GUILD_UPDATE', 'GUILD_DELETE'].map(hashType))

/** How a sink tells events apart. */
export interface Sorting {
  /** Which go to the sink, by `head.type`; undefined: all. */
  readonly wanted: ((type: number) => boolean) | undefined
  /** Given where the type is part of the topic. */
  readonly names: EventNames | undefined
  /** Given where the guild is part of the topic: how many partitions there are. */
  readonly partitions: number | undefined
}

/** One for all events: they pass through it one at a time. */
const arrival: Arrival = { bytes: Buffer.alloc(0), from: 0, to: 0, sequence: 0, type: 0, partition: 0 }

/** The events of one session, on their way into a lane of their sink. */
export class BufferedFeed implements Feed {
  readonly #lane: Lane
  readonly #mark: FeedMark
  readonly #sorting: Sorting
  /** The last sequence that went into the lane, and the last that the sink does not want. */
  #added: number
  #unwanted: number

  constructor(lane: Lane, mark: FeedMark, sorting: Sorting) {
    this.#lane = lane
    this.#mark = mark
    this.#sorting = sorting
    this.#added = this.#unwanted = mark.acknowledged
  }

  add(bytes: Buffer, from: number, to: number, sequence: number): void {
    const { wanted, names, partitions } = this.#sorting
    if (wanted !== undefined && !wanted(head.type)) {
      this.#unwanted = sequence
      return
    }
    this.#added = sequence
    arrival.bytes = bytes
    arrival.from = from
    arrival.to = to
    arrival.sequence = sequence
    arrival.type = names === undefined ? 0 : names.number(bytes)
    arrival.partition = partitions === undefined ? 0 : this.#partition(partitions)
    this.#lane.add(this.#mark, arrival)
  }

  /** What the sink does not want is confirmed with what came before it. */
  get acknowledged(): number {
    const { acknowledged } = this.#mark
    return acknowledged >= this.#added ? Math.max(acknowledged, this.#unwanted) : acknowledged
  }

  #partition(partitions: number): number {
    const time = guildTime(arrival.bytes, arrival.from, arrival.to, GUILDS.has(head.type))
    return (time < 0 ? this.#mark.shardId : time) % partitions
  }
}
