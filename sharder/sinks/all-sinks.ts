import type { SinkRecord } from '../../src/protocol/state.ts'
import type { Feed, Sink } from './sink.ts'

/** Every event goes to each of several sinks; confirmed is what all of them confirmed. */
export class AllSinks {
  readonly #sinks: readonly Sink[]

  constructor(sinks: readonly Sink[]) {
    this.#sinks = sinks
  }

  open(shardId: number, acknowledged: number, sessionId: string): Feed {
    const feeds = this.#sinks.map((sink) => sink.open(shardId, acknowledged, sessionId))
    const [only, ...others] = feeds
    if (only !== undefined && others.length === 0) return only
    return {
      add(bytes, from, to, sequence) {
        for (const feed of feeds) feed.add(bytes, from, to, sequence)
      },
      get acknowledged() {
        return Math.min(...feeds.map((feed) => feed.acknowledged))
      },
    }
  }

  get full(): boolean {
    return this.#sinks.some((sink) => sink.full)
  }

  async flush(timeoutMs: number): Promise<boolean> {
    const flushed = await Promise.all(this.#sinks.map((sink) => sink.flush(timeoutMs)))
    return flushed.every(Boolean)
  }

  records(): SinkRecord[] {
    return this.#sinks.map((sink) => sink.record())
  }

  async close(): Promise<void> {
    await Promise.all(this.#sinks.map((sink) => sink.close()))
  }
}
