import { pino } from 'pino'
import { drain, patienceOf } from '../../../../sharder/drain.ts'
import { SessionShelf } from '../../../../sharder/session-shelf.ts'
import type { ShardSummary } from '../../../../sharder/shard/summary.ts'
import { StateBoard } from '../../../../sharder/state-board.ts'
import type { FoundState, StoredState } from '../../../../sharder/state-file.ts'
import { StateKeeper } from '../../../../sharder/state-keeper.ts'
import { StateReaders } from '../../../../sharder/state-readers.ts'
import { GatewayWorker } from '../../../../sharder/worker.ts'
import { DISCORD_GATEWAY_HOSTS } from '../../../../src/api/gateway-hosts.ts'
import type { Random } from '../../../support/random.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { SimDiscord } from './discord.ts'
import { SimThreads } from './threads.ts'

export interface WorkerEnvironment {
  readonly cluster: string
  readonly ordinal: number
  readonly uid: string
  readonly reserve: number
  readonly clock: VirtualClock
  readonly random: Random
  readonly discord: SimDiscord
  /** Judges: a worker begins to hold a shard. */
  readonly onHold: (shardId: number) => void
  /** Longest time from IDENTIFY to READY, in milliseconds. */
  readonly readyMs: number
  /** Part of the connections that fail. */
  readonly faults: { connectFails: number }
}

const GRACE_MS = 60_000
const silent = pino({ level: 'silent' })

/** One process of a worker: the sharder's own main thread, on simulated threads. */
class SimProcess {
  readonly board: StateBoard
  readonly threads: SimThreads
  readonly worker: GatewayWorker
  readonly readers: StateReaders
  readonly keeper: StateKeeper
  readonly ready: Promise<void>

  constructor(env: WorkerEnvironment, bootId: string, found: FoundState | undefined, write: (s: StoredState) => void) {
    const { clock } = env
    const head = { workerId: env.ordinal, bootId, epoch: 0, draining: false }
    this.board = new StateBoard(clock, head, new SessionShelf(clock, found?.sessions))
    this.threads = new SimThreads(env, env.random.int(1, 2))
    this.threads.onReport = (index, report) => this.board.report(index, report)
    const epoch = () => this.worker.epoch
    this.keeper = new StateKeeper({
      clock,
      logger: silent,
      board: this.board,
      epoch,
      write: async (state) => write(state),
    })
    const save = () => this.keeper.save()
    const options = {
      workerId: env.ordinal,
      clock,
      logger: silent,
      board: this.board,
      threads: this.threads,
      save,
      gatewayHosts: DISCORD_GATEWAY_HOSTS,
    }
    this.worker = new GatewayWorker({ ...options, epoch: found?.epoch ?? 0 })
    this.readers = new StateReaders(this.board, clock)
    this.ready = found ? this.worker.takeUp(found) : Promise.resolve()
  }
}

/** A pod with one container, and the process in it, as long as there is one; one life after another. */
export class SimWorker {
  readonly env: WorkerEnvironment
  draining = false
  /** Called when the process dies: every connection to it breaks. */
  readonly onDeath = new Set<() => void>()
  #process: SimProcess | undefined
  #boots = 0
  /** What an emptyDir is: it outlives the process, not the pod. */
  #file: { readonly state: StoredState; readonly at: number } | undefined

  constructor(env: WorkerEnvironment) {
    this.env = env
    this.boot()
  }

  get process(): SimProcess | undefined {
    return this.#process
  }

  get alive(): boolean {
    return this.#process !== undefined
  }

  /** Session ids that could still be had from this pod. */
  *sessions(): Generator<string> {
    for (const { sessionId } of this.#file?.state.sessions ?? []) yield sessionId
    const { board } = this.#process ?? {}
    if (!board) return
    for (const { sessionId } of board.shelf.all()) yield sessionId
    for (const shardId of board.shardIds) yield board.shard(shardId)?.session?.sessionId ?? ''
  }

  /** Shards that have a connection, or are on their way to one, in its process. */
  held(): number[] {
    return [...(this.#process?.board.shardIds ?? [])]
  }

  summary(shardId: number): ShardSummary | undefined {
    return this.#process?.board.shard(shardId)
  }

  stateOf(shardId: number): string | undefined {
    return this.summary(shardId)?.state
  }

  boot(): void {
    const { env } = this
    const { clock } = env
    const ageMs = this.#file ? clock.now() - this.#file.at : 0
    const aged = this.#file?.state.sessions.map((s) => ({ ...s, lastContactMsAgo: s.lastContactMsAgo + ageMs }))
    const found = this.#file && { ...this.#file.state, sessions: aged ?? [], ageMs }
    this.draining = false
    env.discord.trace(`${env.uid}: boots, ${found?.held.length ?? 0} shards in its file`)
    const process = new SimProcess(env, `${env.uid}/${++this.#boots}`, found, (state) => {
      if (this.#process === process) this.#file = { state, at: clock.now() }
    })
    this.#process = process
  }

  /** The process dies without a word. */
  crash(): void {
    const process = this.#process
    if (!process) return
    this.env.discord.trace(`${this.env.uid}: dies`)
    this.#process = undefined
    process.keeper.close()
    process.threads.die()
    for (const stream of process.readers.open) stream.destroy()
    for (const dies of [...this.onDeath]) dies()
    this.onDeath.clear()
  }

  killThread(): void {
    const process = this.#process
    if (!process || this.draining) return
    const index = this.env.random.int(0, process.threads.count - 1)
    this.env.discord.trace(`${this.env.uid}: thread ${index} dies`)
    const { worker } = process
    process.threads.kill(
      index,
      () => worker.threadDied(index),
      () => worker.threadReplaced(index),
    )
  }

  /** The sinks of this worker take nothing for a while. */
  stallSink(milliseconds: number): void {
    const threads = this.#process?.threads.threads ?? []
    for (const { sink } of threads) sink.stall()
    this.env.clock.after(milliseconds, () => {
      for (const { sink } of threads) sink.flow()
    })
  }

  /** Streams break, for instance in the network; the process goes on. */
  breakStreams(): void {
    for (const stream of this.#process?.readers.open ?? []) stream.destroy()
  }

  /** SIGTERM. Resolves when the process has ended, killed at the end of its grace if need be. */
  async drain(): Promise<void> {
    const process = this.#process
    if (!process) return
    this.draining = true
    this.env.discord.trace(`${this.env.uid}: SIGTERM`)
    const { clock } = this.env
    const killed = new Promise<void>((resolve) => clock.after(GRACE_MS, resolve))
    const { readers, keeper, worker } = process
    const drained = drain({
      ...{ clock, logger: silent, readers, patienceMs: patienceOf(GRACE_MS) },
      drainWorker: (flushMs) => worker.drain(flushMs),
      save: () => keeper.save(),
      closeServer: async () => {},
      closeThreads: () => process.threads.close(),
    })
    await Promise.race([drained, killed])
    if (this.#process === process) this.crash()
  }
}
