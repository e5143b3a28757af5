import { DISCORD_GATEWAY_HOSTS } from '../../../../src/api/gateway-hosts.ts'
import { ownerOf } from '../../../../src/domain/ranges.ts'
import { agedSession } from '../../../../src/domain/saved-session.ts'
import type { GatewayManager } from '../../../../src/manager/gateway-manager.ts'
import type { Desired, SavedSession, SessionStore } from '../../../../src/manager/ports.ts'
import type { Random } from '../../../support/random.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { SimDiscord } from './discord.ts'
import { type Host, Line, simPort } from './network.ts'
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
  /** Sessions are saved at this pace, in milliseconds; 0: only when a worker drains or a manager ends. */
  readonly saveMs: number
}

export interface Pod {
  readonly ordinal: number
  readonly uid: string
  readonly worker: SimWorker
  readonly line: Line
  readonly createdAt: number
}

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
  /** What Secrets are: it outlives pods and managers. */
  readonly #saved = new Map<number, { readonly at: number; readonly sessions: readonly SavedSession[] }>()
  #followedAt = 0
  readonly #wanted: { at: number; totalWorkers: number }[] = []
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #discord: SimDiscord
  #uids = 0
  #starting = new Set<number>()
  readonly #leaving = new Set<Pod>()

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
      gatewayHosts: DISCORD_GATEWAY_HOSTS,
      saveSessionsMs: options.saveMs,
      identify: { reserve: options.reserve, order: options.order, windowMilliseconds: options.windowMs },
      remedy: 'first',
    }
    this.#wanted.push({ at: 0, totalWorkers: options.totalWorkers })
  }

  /** Hands everything to a manager of a new leader. */
  follow(manager: GatewayManager, host: Host): void {
    this.manager = manager
    this.#host = host
    this.#followedAt = this.#clock.now()
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
      if (ordinal >= totalWorkers && (!pod.worker.alive || this.manager?.removable(ordinal))) this.remove(pod, true)
    this.manager?.configure(this.desired)
    this.#tellWorkers()
  }

  /** The pod goes, with or without the time to say goodbye; a StatefulSet starts another one if it is wanted. */
  remove(pod: Pod, gracefully: boolean): void {
    if (this.pods.get(pod.ordinal) !== pod || this.#leaving.has(pod)) return
    this.#leaving.add(pod)
    const gone = (): void => {
      pod.worker.crash()
      pod.line.wakeUp()
      this.#leaving.delete(pod)
      if (this.pods.get(pod.ordinal) === pod) this.pods.delete(pod.ordinal)
      this.reconcile()
    }
    if (!gracefully) gone()
    else void pod.worker.drain().then(() => this.#clock.after(this.#random.int(10, 1_000), gone))
  }

  /** Where the sessions outlive everything. */
  store(): SessionStore {
    const later = () => new Promise<void>((resolve) => this.#clock.after(this.#random.int(5, 200), resolve))
    return {
      load: async () => {
        await later()
        return [...this.#saved.values()].flatMap(({ at, sessions }) =>
          sessions.map((session) => agedSession(session, this.#clock.now() - at, this.options.saveMs)),
        )
      },
      save: async (ordinal, sessions) => {
        await later()
        this.#saved.set(ordinal, { at: this.#clock.now(), sessions })
      },
    }
  }

  /** Whether somebody still has this session who can be asked: a pod, the manager that leads, or the store. */
  hasCopy(sessionId: string): boolean {
    if (this.#host?.told.has(sessionId)) return true
    for (const { worker } of this.pods.values()) for (const id of worker.sessions()) if (id === sessionId) return true
    for (const { sessions } of this.#saved.values()) if (sessions.some((s) => s.sessionId === sessionId)) return true
    return false
  }

  /** Everything that a shard needs to be resumed is there and well. */
  calm(): boolean {
    if (!this.manager || this.faults.connectFails > 0 || this.pods.size < this.desired.totalWorkers) return false
    return [...this.pods.values()].every(({ worker, line }) => worker.alive && !worker.draining && line.healthy)
  }

  /** The container dies and starts again in the same pod. */
  restart({ worker }: Pod): void {
    if (!worker.alive || worker.draining) return
    worker.crash()
    this.reconcile()
    this.#clock.after(this.#random.int(10, 8_000), () => {
      const there = [...this.pods.values()].find((pod) => pod.worker === worker)
      if (!there || worker.alive || this.#leaving.has(there)) return
      worker.boot()
      this.reconcile()
    })
  }

  /** Every shard connected on the worker that shall hold it, nothing left elsewhere, no pod too many. */
  settled(): boolean {
    const { totalShards } = this.options
    const { totalWorkers } = this.desired
    if (this.pods.size !== totalWorkers || this.#leaving.size > 0) return false
    for (let shardId = 0; shardId < totalShards; shardId++) {
      const worker = this.pods.get(ownerOf(shardId, totalShards, totalWorkers))?.worker
      if (worker?.stateOf(shardId) !== 'Connected') return false
    }
    let held = 0
    for (const { worker } of this.pods.values()) held += worker.held().length
    return held === totalShards && this.manager?.fleet().ready === totalShards
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
      for (const shardId of worker.held()) {
        const state = worker.stateOf(shardId) ?? '?'
        states[state] = (states[state] ?? 0) + 1
      }
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
      const worker = new SimWorker({
        ...{ cluster, ordinal, uid, reserve, readyMs, faults: this.faults },
        ...{ clock: this.#clock, random: this.#random, discord: this.#discord },
        onHold: (shardId) => this.#judgeHold(uid, shardId),
      })
      this.pods.set(ordinal, { ordinal, uid, worker, line: new Line(), createdAt: this.#clock.now() })
      this.reconcile()
    })
  }

  #tellWorkers(): void {
    const { manager } = this
    const host = this.#host
    if (!manager || !host) return
    const gone = ({ worker }: Pod) => this.#leaving.has(this.pods.get(worker.env.ordinal) as Pod) && !worker.alive
    const refs = [...this.pods.values()]
      .filter((pod) => !gone(pod))
      .map(({ ordinal, uid, worker, line, createdAt }) => ({
        ...{ ordinal, uid, name: uid, running: worker.alive },
        port: simPort({ worker, line, host, clock: this.#clock, random: this.#random }),
        ...(createdAt < this.#followedAt && { presumed: { first: 0, last: this.options.totalShards - 1 } }),
      }))
    manager.setWorkers(refs)
  }

  #judgeHold(uid: string, shardId: number): void {
    for (const pod of this.pods.values())
      if (pod.uid !== uid && pod.worker.held().includes(shardId))
        this.#discord.problem(`shard ${shardId} of ${this.options.name} is held by ${pod.uid} and by ${uid}`)
  }
}
