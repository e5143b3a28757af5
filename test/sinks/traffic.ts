import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { head, readHead } from '../../sharder/shard/payload-head.ts'
import type { Feed, Sink } from '../../sharder/sinks/sink.ts'
import type { Delivered } from '../support/servers/broker.ts'

/** What became of the events that were sent. */
export interface Account {
  readonly sent: number
  readonly lost: number
  readonly duplicates: number
  /** Events that came, the first time, after a later one of their shard. */
  readonly overtaken: number
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function buffersInUse(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

const TYPES = ['MESSAGE_CREATE', 'TYPING_START', 'GUILD_MEMBER_UPDATE']

/** Events of many shards, as the gateway would send them, into one sink. */
export class Traffic {
  readonly #sink: Sink
  readonly feeds: readonly Feed[]
  #sequence = 0
  readonly #before = buffersInUse()

  constructor(sink: Sink, shards = 20, acknowledged = 0) {
    this.#sink = sink
    this.feeds = Array.from({ length: shards }, (_, shardId) => sink.open(shardId, acknowledged, `session-${shardId}`))
    this.#sequence = acknowledged
  }

  /** Sends so many events of each shard, waiting while the sink is full, as sockets do. */
  async send(count: number, { pauseMs = 0, padding = 300 } = {}): Promise<void> {
    for (let n = 0; n < count; n++) {
      while (this.#sink.full) await this.#moment(2)
      this.#sequence++
      for (const [shardId, feed] of this.feeds.entries()) add(feed, shardId, this.#sequence, padding)
      if (pauseMs > 0 || n % 20 === 0) await this.#moment(pauseMs)
    }
  }

  /** Sends until `work` is done. */
  async during(work: () => Promise<unknown>, { pauseMs = 2, padding = 300 } = {}): Promise<void> {
    let over = false
    const done = work().finally(() => {
      over = true
    })
    while (!over) await this.send(1, { pauseMs, padding })
    await done
  }

  /** Everything was confirmed, by what the feeds say. */
  get confirmed(): boolean {
    return this.feeds.every(({ acknowledged }) => acknowledged === this.#sequence)
  }

  /** Memory that the sink and its client library hold outside V8's heap, in bytes, garbage left out. */
  async heldBytes(): Promise<number> {
    let least = Number.POSITIVE_INFINITY
    // V8 gives the memory of buffers back beside the collection, not in it.
    for (let round = 0; round < 10; round++) {
      least = Math.min(least, buffersInUse())
      await this.#moment(100)
    }
    return least - this.#before
  }

  account(delivered: readonly Delivered[]): Account {
    const last = new Map<number, number>()
    const seen = new Set<string>()
    let overtaken = 0
    for (const { body } of delivered) {
      const { shardId, payload } = JSON.parse(body) as { shardId: number; payload: { s: number } }
      const key = `${shardId}/${payload.s}`
      if (seen.has(key)) continue
      seen.add(key)
      if (payload.s < (last.get(shardId) ?? 0)) overtaken++
      last.set(shardId, payload.s)
    }
    const sent = this.#sequence * this.feeds.length
    return { sent, lost: sent - seen.size, duplicates: delivered.length - seen.size, overtaken }
  }

  async #moment(milliseconds: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
  }
}

/** Puts an event into a feed as a shard does. */
export function add(feed: Feed, shardId: number, s: number, padding = 0, type = TYPES[s % TYPES.length]): void {
  const guild = (BigInt(shardId) << 22n) + 1n
  const text = `{"t":"${type}","s":${s},"op":0,"d":{"content":"${'x'.repeat(padding)}","guild_id":"${guild}"}}`
  const bytes = Buffer.from(text)
  readHead(bytes, 0, bytes.length)
  feed.add(bytes, 0, bytes.length, head.seq)
}
