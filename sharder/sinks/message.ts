import type { EventNames } from './event-names.ts'
import type { Slab } from './slab.ts'
import type { Topic } from './topic.ts'

/** How a broker's messages are named. */
export interface Naming {
  readonly topic: Topic
  readonly names: EventNames
}

/** The name of the event after which the replay of a session is over; Discord sends another at the next resume. */
const RESUMED = 'RESUMED'

/** What is said of an event beside its JSON. */
export interface Message {
  readonly topic: string
  readonly type: string
  /** The same whenever the event is sent, and no other event's: session and sequence. undefined: it must not be told from others. */
  readonly id: string | undefined
}

/** Names the event `i` of a slab that is indexed. */
export function messageOf({ index }: Slab, i: number, { topic, names }: Naming): Message {
  if (index === undefined) throw new Error('events of a slab without an index have no names')
  const { shardId, session } = index.mark(i)
  const type = names.name(index.type(i))
  return {
    topic: topic.of(type, shardId, index.partition(i)),
    type,
    id: type === RESUMED ? undefined : `${session}-${index.sequence(i)}`,
  }
}
