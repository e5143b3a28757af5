import type { Clock } from '../src/support/clock.ts'
import { Outbox, type OutboxShard, type Outgoing, type SendOutcome } from './shard/outbox.ts'

const refused = (message: string): SendOutcome => ({ sent: false, code: 'NOT_ASSIGNED', message })

/** The outboxes of a thread's shards: made when a bot first sends something, because most shards never send. */
export class Outboxes {
  readonly #clock: Clock
  readonly #windowMs: number
  readonly #byShard = new Map<number, Outbox>()

  /** `windowMs`: Discord's minute, in milliseconds. */
  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock
    this.#windowMs = windowMs
  }

  /** `shard`: undefined where this thread does not hold it. Always resolves. */
  send(shardId: number, shard: OutboxShard | undefined, outgoing: Outgoing): Promise<SendOutcome> {
    if (!shard) return Promise.resolve(refused(`Shard ${shardId} is not held by this worker; nothing was sent.`))
    const known = this.#byShard.get(shardId) ?? new Outbox(shard, this.#clock, this.#windowMs)
    this.#byShard.set(shardId, known)
    return known.send(outgoing)
  }

  /** The shard was released: what waits is not sent. */
  close(shardId: number): void {
    this.#byShard.get(shardId)?.close(refused(`Shard ${shardId} was released; nothing was sent.`))
    this.#byShard.delete(shardId)
  }
}
