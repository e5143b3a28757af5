import { ownerOf } from '../../../../src/domain/ranges.ts'
import type { GatewayManager } from '../../../../src/manager/gateway-manager.ts'
import type { Desired } from '../../../../src/manager/ports.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { SimDiscord } from './discord.ts'
import { type Host, Line, simPort } from './network.ts'
import type { Random } from './random.ts'
import { SimWorker } from './worker.ts'

export interface ClusterOptions {
  readonly name: string
  readonly totalShards: number
  readonly totalWorkers: number
  readonly order: 'Spread' | 'Strict'
  readonly windowMs: number
  readonly reserve: number
  /** Longest time from IDENTIFY to READY, in milliseconds. */
  readonly readyMs: number
}

export interface Pod {
  readonly ordinal: number
  readonly uid: string
  readonly worker: SimWorker
  readonly line: Line
  readonly createdAt: number
}

/** A release is justified by what was wanted when it was decided: commands take this long to arrive. Milliseconds. */
const COMMAND_DELAY_MS = 35_000

/** One ShardCluster and its pods, as Kubernetes and an operator would have them; judges what happens to its shards. */
export class SimCluster {
  readonly options: ClusterOptions
  readonly pods = new Map<number, Pod>()
  readonly faults = { connectFails: 0 }
  /** Pods are not started while this is set. */
  unschedulable = new Set<number>()
  desired: Desired
  manager: GatewayManager | undefined
  #host: Host | undefined
  readonly #wanted: { at: number; totalWorkers: number }[] = []
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #discord: SimDiscord
  #uids = 0
  #starting = new Set<number>()

  constructor(options: ClusterOptions, clock: VirtualClock, random: Random, discord: SimDiscord) {
    this.options = options
    this.#clock = clock
    this.#random = random
    this.#discord = discord
    this.desired = {
      totalShards: options.totalShards,
      totalWorkers: options.totalWorkers,
      shardsPerWorker: 5_000,
      shardMultiple: undefined,
      gateway: { version: 10, intents: 1, compression: 'None' },
      identify: { reserve: options.reserve, order: options.order, windowMilliseconds: options.windowMs },
      remedy: 'first',
    }
    this.#wanted.push({ at: 0, totalWorkers: options.totalWorkers })
  }

  /** Hands everything to a manager of a new leader. */
  follow(manager: GatewayManager, host: Host): void {
    this.manager = manager
    this.#host = host
    this.reconcile()
  }

  change(change: Partial<Desired>): void {
    this.desired = { ...this.desired, ...change }
    this.#discord.trace(`${this.options.name}: wanted ${JSON.stringify(change)}`)
    this.#wanted.push({ at: this.#clock.now(), totalWorkers: this.desired.totalWorkers })
    this.reconcile()
  }

  /** What the operator does whenever something changed: pods for the ordinals, and the manager told of them. */
  reconcile(): void {
    const { totalWorkers } = this.desired
    for (let ordinal = 0; ordinal < totalWorkers; ordinal++) this.#ensure(ordinal)
    for (const [ordinal, pod] of [...this.pods])
      if (ordinal >= totalWorkers && this.manager?.removable(ordinal)) this.remove(pod, true)
    this.manager?.configure(this.desired)
    this.#tellWorkers()
  }

  /** The pod goes, with or without the time to say goodbye; a StatefulSet starts another one if it is wanted. */
  remove(pod: Pod, gracefully: boolean): void {
    if (this.pods.get(pod.ordinal) !== pod || pod.worker.draining) return
    const gone = (): void => {
      pod.worker.crash()
      pod.line.wakeUp()
      if (this.pods.get(pod.ordinal) === pod) this.pods.delete(pod.ordinal)
      this.reconcile()
    }
    if (gracefully) pod.worker.drain()
    if (!gracefully) gone()
    else this.#clock.after(this.#random.int(10, 2_000), gone)
  }

  /** The container dies and starts again in the same pod. */
  restart({ worker }: Pod): void {
    if (!worker.alive || worker.draining) return
    worker.crash()
    this.#clock.after(this.#random.int(10, 8_000), () => {
      if (!worker.alive && [...this.pods.values()].some((pod) => pod.worker === worker)) worker.boot()
    })
  }

  /** Every shard connected on the worker that shall hold it, nothing left elsewhere, no pod too many. */
  settled(): boolean {
    const { totalShards } = this.options
    const { totalWorkers } = this.desired
    if (this.pods.size !== totalWorkers) return false
    for (let shardId = 0; shardId < totalShards; shardId++) {
      const worker = this.pods.get(ownerOf(shardId, totalShards, totalWorkers))?.worker
      if (worker?.shards.get(shardId)?.state !== 'Connected') return false
    }
    let held = 0
    for (const { worker } of this.pods.values()) held += worker.shards.size
    return held === totalShards && this.manager?.fleet().ready === totalShards
  }

  /** No shard is on its way between two workers, as far as its workers and its manager know. */
  allHeld(): boolean {
    const fleet = this.manager?.fleet()
    const held = new Set([...this.pods.values()].flatMap(({ worker }) => [...worker.shards.keys()]))
    return held.size === this.options.totalShards && fleet?.misplaced === 0
  }

  /** Shards whose owner was the same through all that was wanted. */
  unmoved(): number[] {
    const { totalShards } = this.options
    const counts = [...new Set(this.#wanted.map(({ totalWorkers }) => totalWorkers))]
    return [...Array(totalShards).keys()].filter(
      (shardId) => new Set(counts.map((count) => ownerOf(shardId, totalShards, count))).size === 1,
    )
  }

  describe(): string {
    const states: Record<string, number> = {}
    for (const { worker } of this.pods.values())
      for (const { state } of worker.shards.values()) states[state] = (states[state] ?? 0) + 1
    const { ready, failing, fatal, shortOfBudget, waiting } = this.manager?.fleet() ?? {}
    const known = { ready, waiting, failing, fatal, shortOfBudget }
    return `${this.options.name}: ${this.pods.size}/${this.desired.totalWorkers} pods, ${JSON.stringify(states)} of ${this.options.totalShards}, manager: ${JSON.stringify(known)}`
  }

  #ensure(ordinal: number): void {
    if (this.pods.has(ordinal) || this.#starting.has(ordinal) || this.unschedulable.has(ordinal)) return
    this.#starting.add(ordinal)
    this.#clock.after(this.#random.int(10, 5_000), () => {
      this.#starting.delete(ordinal)
      if (ordinal >= this.desired.totalWorkers || this.unschedulable.has(ordinal)) return
      const uid = `${this.options.name}-${ordinal}/${++this.#uids}`
      const { name: cluster, reserve, readyMs } = this.options
      const worker: SimWorker = new SimWorker({
        ...{ cluster, ordinal, uid, reserve, readyMs, faults: this.faults },
        ...{ clock: this.#clock, random: this.#random, discord: this.#discord },
        onHold: (shardId) => this.#judgeHold(worker, shardId),
        onRelease: (shardId) => this.#judgeRelease(ordinal, shardId),
      })
      this.pods.set(ordinal, { ordinal, uid, worker, line: new Line(), createdAt: this.#clock.now() })
      this.reconcile()
    })
  }

  #tellWorkers(): void {
    const { manager } = this
    const host = this.#host
    if (!manager || !host) return
    const refs = [...this.pods.values()].map(({ ordinal, uid, worker, line }) => ({
      ...{ ordinal, uid, name: uid },
      port: simPort({ worker, line, host, clock: this.#clock, random: this.#random }),
      presumed: { first: 0, last: this.options.totalShards - 1 },
    }))
    manager.setWorkers(refs)
  }

  #judgeHold(worker: SimWorker, shardId: number): void {
    for (const pod of this.pods.values())
      if (pod.worker !== worker && pod.worker.shards.has(shardId))
        this.#discord.problem(`shard ${shardId} of ${this.options.name} is held by ${pod.uid} and by ${worker.env.uid}`)
  }

  #judgeRelease(ordinal: number, shardId: number): void {
    const since = this.#clock.now() - COMMAND_DELAY_MS
    const wanted = this.#wanted.filter(({ at }, i) => at >= since || (this.#wanted[i + 1]?.at ?? Infinity) >= since)
    const moved = wanted.some(
      ({ totalWorkers }) => ownerOf(shardId, this.options.totalShards, totalWorkers) !== ordinal,
    )
    if (!moved) this.#discord.problem(`shard ${shardId} of ${this.options.name} was released by its own worker`)
  }
}
