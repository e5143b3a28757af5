/** What a slab knows of the session an event belongs to. */
export interface FeedMark {
  /** The sequence up to which the sink has confirmed. */
  acknowledged: number
  readonly shardId: number
  /** What is written before each of its payloads. */
  readonly prefix: Buffer
  /** Tells the session from others in the ids of messages. */
  readonly session: string
}
