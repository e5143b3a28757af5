import type { IdentifyOutcome } from '../../../../sharder/shard/permit.ts'
import { sessionRecord } from '../../../../sharder/shard/summary.ts'
import type { GroupReport, Holding } from '../../../../sharder/shard-group.ts'
import type { ThreadCalls } from '../../../../sharder/thread-wire.ts'
import { ThreadDied, type ThreadPool } from '../../../../sharder/threads.ts'
import { CHECKPOINT_MS } from '../../../../src/protocol/limits.ts'
import type { Session } from '../../../../src/protocol/session.ts'
import { SimSink } from './feed.ts'
import { SimShard } from './shard.ts'
import type { WorkerEnvironment } from './worker.ts'

const RELEASE_FLUSH_MS = 15_000

/** One thread of a simulated worker: its shards and its sink. */
export class SimThread {
  readonly env: WorkerEnvironment
  readonly sink: SimSink
  readonly shards = new Map<number, SimShard>()
  alive = true
  readonly #report: (report: GroupReport) => void
  readonly #changed = new Set<number>()
  readonly #reported = new Map<number, number>()

  constructor(env: WorkerEnvironment, report: (report: GroupReport) => void) {
    this.env = env
    this.#report = report
    this.sink = new SimSink(env.clock, env.random.int(5, 60))
    this.#checkpointLater()
  }

  changed(shardId: number): void {
    if (this.#changed.size === 0) this.env.clock.after(0, () => this.#tell())
    this.#changed.add(shardId)
  }

  hold({ settings, holdings }: ThreadCalls['HOLD']['ask']): null {
    for (const { shardId, session, history } of holdings as readonly Holding[]) {
      const known = this.shards.get(shardId)
      if (known) {
        known.assignAgain(session)
        continue
      }
      this.env.onHold(shardId)
      this.shards.set(shardId, new SimShard(this, shardId, settings.totalShards, session, history))
      this.changed(shardId)
    }
    return null
  }

  async identify(shardId: number, slotAt: number, permit: AbortSignal): Promise<IdentifyOutcome> {
    const shard = this.shards.get(shardId)
    if (!shard) return { identified: false, code: 'NOT_ASSIGNED', message: `shard ${shardId} is not held` }
    return shard.identify(slotAt, permit)
  }

  async release(shardIds: readonly number[], flushMs = RELEASE_FLUSH_MS): Promise<Session[]> {
    const released = shardIds.flatMap((shardId) => this.shards.get(shardId) ?? [])
    for (const shard of released) shard.stop()
    for (const { id } of released) this.shards.delete(id)
    if (released.length > 0) await this.sink.flush(flushMs)
    const now = this.env.clock.now()
    return released.flatMap((shard) => {
      const session = shard.sessionState()
      return session ? [sessionRecord(shard.id, session, now)] : []
    })
  }

  /** Ends with all its connections, and with what its sink had not confirmed. */
  die(): void {
    if (!this.alive) return
    this.alive = false
    for (const shard of this.shards.values()) {
      // What was confirmed up to now the bot has.
      shard.sessionState()
      shard.stop()
    }
    this.shards.clear()
  }

  #tell(): void {
    const shards = [...this.#changed].flatMap((shardId) => this.shards.get(shardId)?.summary() ?? [])
    this.#changed.clear()
    if (this.alive) this.#report({ shards })
  }

  #checkpointLater(): void {
    this.env.clock.after(CHECKPOINT_MS, () => {
      if (!this.alive) return
      const rows = [...this.shards.values()].flatMap((shard) => {
        const sequence = shard.sessionState()?.sequence ?? 0
        if (this.#reported.get(shard.id) === sequence) return []
        this.#reported.set(shard.id, sequence)
        return [shard.id, sequence, -1]
      })
      if (rows.length > 0) this.#report({ checkpoint: Float64Array.from(rows) })
      this.#checkpointLater()
    })
  }
}

/** A pool of simulated threads behind the sharder's own interface. */
export class SimThreads implements ThreadPool {
  readonly threads: SimThread[]
  onReport: (index: number, report: GroupReport) => void = () => {}
  readonly #env: WorkerEnvironment
  #dead = false

  constructor(env: WorkerEnvironment, count: number) {
    this.#env = env
    this.threads = Array.from({ length: count }, (_, index) => this.#start(index))
  }

  get count(): number {
    return this.threads.length
  }

  async call<K extends keyof ThreadCalls>(
    index: number,
    type: K,
    ask: ThreadCalls[K]['ask'],
    signal = new AbortController().signal,
  ): Promise<ThreadCalls[K]['answer']> {
    const thread = this.threads[index]
    if (!thread?.alive) throw new ThreadDied('the thread of this shard is being replaced')
    const answer = await this.#answer(thread, type, ask as never, signal)
    if (!thread.alive) throw new ThreadDied('the thread of this shard ended')
    return answer as never
  }

  /** A thread dies; `replaced` is called when an empty one has taken its place. */
  kill(index: number, died: () => void, replaced: () => void): void {
    const thread = this.threads[index]
    if (!thread?.alive) return
    thread.die()
    died()
    this.#env.clock.after(this.#env.random.int(50, 400), () => {
      if (this.#dead || this.threads[index] !== thread) return
      this.threads[index] = this.#start(index)
      replaced()
    })
  }

  async close(): Promise<void> {
    this.die()
  }

  die(): void {
    this.#dead = true
    for (const thread of this.threads) thread.die()
  }

  #start(index: number): SimThread {
    return new SimThread(this.#env, (report) => this.onReport(index, report))
  }

  async #answer(thread: SimThread, type: keyof ThreadCalls, ask: never, signal: AbortSignal): Promise<unknown> {
    switch (type) {
      case 'HOLD':
        return thread.hold(ask)
      case 'IDENTIFY': {
        const { shardId, slotAt } = ask as ThreadCalls['IDENTIFY']['ask']
        return thread.identify(shardId, slotAt, signal)
      }
      case 'RELEASE':
        return thread.release((ask as ThreadCalls['RELEASE']['ask']).shardIds)
      case 'DRAIN':
        return thread.release([...thread.shards.keys()], (ask as ThreadCalls['DRAIN']['ask']).flushMs)
      case 'SEND':
        throw new Error('nobody sends payloads in this model')
      case 'PING':
      case 'METRICS':
        return null
    }
  }
}
