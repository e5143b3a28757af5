type Placeholder = '{type}' | '{shard}' | '{partition}'

/** Where a broker's message goes: a subject, a routing key or the key of a stream, made from a template for each event. */
export class Topic {
  readonly #parts: readonly string[]
  /** Whether the guild of each event has to be found. */
  readonly partitioned: boolean

  /** `template` may hold {type}, {shard} and {partition}; the schema has checked the rest. */
  constructor(template: string) {
    this.#parts = template.split(/(\{(?:type|shard|partition)\})/).filter((part) => part !== '')
    this.partitioned = this.#parts.includes('{partition}')
  }

  of(type: string, shardId: number, partition: number): string {
    let topic = ''
    for (const part of this.#parts) {
      switch (part as Placeholder) {
        case '{type}':
          topic += type
          break
        case '{shard}':
          topic += shardId
          break
        case '{partition}':
          topic += partition
          break
        default:
          topic += part
      }
    }
    return topic
  }
}
