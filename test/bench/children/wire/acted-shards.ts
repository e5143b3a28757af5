import { setTimeout as sleep } from 'node:timers/promises'
import type { ShardSummary } from '../../../../sharder/shard/summary.ts'
import type { StateBoard } from '../../../../sharder/state-board.ts'
import type { Identified } from '../../../../src/protocol/commands.ts'
import type { ShardStateName } from '../../../../src/protocol/state.ts'
import type { Clock } from '../../../../src/support/clock.ts'

const TOTAL_SHARDS = 5_000
/** What a shard goes through when it starts. */
const START: readonly ShardStateName[] = ['Unidentified', 'Connecting', 'Identifying', 'Connected']
/** Between IDENTIFY and READY, in milliseconds. */
const READY_AFTER_MS = 100
/** Events of a shard between two checkpoints. */
const EVENTS = 10

/** The shards of one worker as its main thread sees them: summaries on a real board, without gateway connections. */
export class ActedShards {
  readonly #board: StateBoard
  readonly #clock: Clock
  readonly #workerId: number
  readonly #shardIds: readonly number[]

  constructor(board: StateBoard, clock: Clock, workerId: number, shards: number) {
    this.#board = board
    this.#clock = clock
    this.#workerId = workerId
    this.#shardIds = Array.from({ length: shards }, (_, i) => workerId * shards + i)
    for (const shardId of this.#shardIds) this.#put(shardId, 'Connected')
  }

  /** Every shard takes its next step. */
  step(): void {
    for (const shardId of this.#shardIds) {
      const { state = 'Connected' } = this.#board.shard(shardId) ?? {}
      this.#put(shardId, START[(START.indexOf(state) + 1) % START.length] as ShardStateName)
    }
  }

  connectAll(): void {
    for (const shardId of this.#shardIds) this.#put(shardId, 'Connected')
  }

  /** What a thread reports once a second while events flow: every sequence and round trip. */
  checkpoint(): void {
    const rows = this.#shardIds.flatMap((shardId) => {
      const { session, rttMs = 0 } = this.#board.shard(shardId) ?? {}
      return [shardId, (session?.sequence ?? 0) + EVENTS, rttMs + 0.25]
    })
    this.#board.report(0, { checkpoint: new Float64Array(rows) })
  }

  /** IDENTIFY at its slot and READY a moment later; without a slot all of it at once. */
  async identify(shardId: number, slotInMs: number): Promise<Identified> {
    this.#put(shardId, 'Connecting')
    if (slotInMs > 0) await sleep(slotInMs)
    this.#put(shardId, 'Identifying')
    if (slotInMs > 0) await sleep(READY_AFTER_MS)
    this.#put(shardId, 'Connected')
    const identifiedMsAgo = slotInMs > 0 ? READY_AFTER_MS : 0
    return { identified: true, shardId, workerId: this.#workerId, identifiedMsAgo }
  }

  #put(shardId: number, state: ShardStateName): void {
    const known = this.#board.shard(shardId)
    const { identifies = 0, session = newSession(shardId) } = known ?? {}
    const common = { shardId, state, resumes: 0, recovering: false, rttMs: 41.5 }
    const identifying = state === 'Identifying'
    const summary: ShardSummary = {
      ...common,
      identifies: identifies + (identifying ? 1 : 0),
      identifiedAt: identifying ? this.#clock.now() : (known?.identifiedAt ?? this.#clock.now()),
      ...(state === 'Connected' && { session }),
    }
    this.#board.put(summary)
  }
}

const newSession = (shardId: number): NonNullable<ShardSummary['session']> => ({
  sessionId: shardId.toString(16).padStart(32, 'c'),
  resumeGatewayUrl: 'wss://gateway-us-east1-b.discord.gg',
  sequence: 1_000,
  totalShards: TOTAL_SHARDS,
})
