import { setTimeout as sleep } from 'node:timers/promises'
import type { StateBoard } from '../../../../sharder/state-board.ts'
import type { ShardRecord, ShardStateName } from '../../../../src/protocol/state.ts'
import type { Clock } from '../../../../src/support/clock.ts'

/** Between IDENTIFY and READY, in milliseconds. */
const READY_AFTER_MS = 100
/** What a shard goes through when it starts. */
const NEXT: Readonly<Partial<Record<ShardStateName, ShardStateName>>> = {
  Connecting: 'Identifying',
  Identifying: 'Connected',
  Connected: 'Connecting',
}

/** The shards of one worker as its main thread sees them: summaries on a real board, without gateway connections. */
export class ActedShards {
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #shardIds: readonly number[]

  constructor(board: StateBoard, clock: Clock, shardIds: readonly number[]) {
    this.#board = board
    this.#clock = clock
    this.#shardIds = shardIds
    this.connectAll()
  }

  connectAll(): void {
    for (const shardId of this.#shardIds) this.#put(shardId, 'Connected')
  }

  /** Every shard takes the next step of a start. */
  step(): void {
    for (const id of this.#shardIds) this.#put(id, NEXT[this.#board.shard(id)?.state ?? 'Connected'] ?? 'Connected')
  }

  /** What a thread reports once a second while events flow: every sequence and round trip. */
  checkpoint(): void {
    const rows = this.#shardIds.flatMap((id) => {
      const { session, rttMs = 0 } = this.#board.shard(id) ?? {}
      return [id, (session?.sequence ?? 0) + 10, rttMs + 0.25]
    })
    this.#board.report(0, { checkpoint: new Float64Array(rows) })
  }

  /** IDENTIFY at its slot and READY a moment later; without a slot all of it at once. @returns IDENTIFY's age in ms. */
  async identify(shardId: number, slotInMs: number): Promise<number> {
    this.#put(shardId, 'Connecting')
    if (slotInMs > 0) await sleep(slotInMs)
    this.#put(shardId, 'Identifying')
    if (slotInMs > 0) await sleep(READY_AFTER_MS)
    this.#put(shardId, 'Connected')
    return slotInMs > 0 ? READY_AFTER_MS : 0
  }

  #put(shardId: number, state: ShardStateName): void {
    const { identifies = 0, identifiedAt = this.#clock.now(), session } = this.#board.shard(shardId) ?? {}
    const identified = state === 'Identifying' ? { identifies: identifies + 1, identifiedAt: this.#clock.now() } : {}
    const connected = state === 'Connected' && { session: session ?? newSession(shardId) }
    const common = { shardId, state, resumes: 0, recovering: false, rttMs: 41.5 }
    this.#board.put({ ...common, identifies, identifiedAt, ...identified, ...connected })
  }
}

const newSession = (shardId: number) => ({
  sessionId: shardId.toString(16).padStart(32, 'c'),
  resumeGatewayUrl: 'wss://gateway-us-east1-b.discord.gg',
  sequence: 1_000,
  totalShards: 5_000,
})

/** What both ends must agree on when nothing is on its way any more. */
export const digestOf = (records: Iterable<ShardRecord>): string[] =>
  Array.from(records, (r) => `${r.shardId} ${r.state} ${r.identifies} ${r.session?.sequence}`).sort()
