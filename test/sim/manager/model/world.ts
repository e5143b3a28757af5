import { pino } from 'pino'
import { Registry } from 'prom-client'
import { GatewayManager } from '../../../../src/manager/gateway-manager.ts'
import { IdentifyLane } from '../../../../src/manager/identify-lane.ts'
import { createManagerMetrics } from '../../../../src/manager/metrics.ts'
import type { SessionInfoAnswer, SessionInfoProblem } from '../../../../src/manager/session-info.ts'
import { Random } from '../../../support/random.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'
import { type ClusterOptions, SimCluster } from './cluster.ts'
import { type DiscordOptions, SimDiscord } from './discord.ts'
import { Host } from './network.ts'

export interface WorldOptions extends DiscordOptions {
  readonly seed: number
  readonly clusters: readonly ClusterOptions[]
}

/** One manager process: a lane for the bot, a manager for each ShardCluster. */
interface Leader {
  readonly lane: IdentifyLane
  readonly managers: readonly GatewayManager[]
  readonly host: Host
}

const silent = pino({ level: 'silent' })
/** Prometheus' own bookkeeping is no part of what is tested. */
const metrics = createManagerMetrics(new Registry())
/** Calm for so long is time enough to resume what can be resumed, in milliseconds: the largest back-offs and a margin. */
const CALM_MS = 30_000

/** How a leader ends: orderly, by dying, or unaware that another one leads. */
export type End = 'stopped' | 'crashed' | 'deposed'

/** A bot, its ShardClusters, the REST proxy and whoever leads; everything on one virtual clock and one seed. */
export class World {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly discord: SimDiscord
  readonly clusters: readonly SimCluster[]
  /** What the REST proxy answers instead of session info. */
  restProblem: SessionInfoProblem | undefined
  questions = 0
  #leader: Leader | undefined
  #term = 0
  #awaited = false
  /** All has been well since then. */
  #calmSince: number | undefined
  /** When it was last so for CALM_MS. */
  #calmAt = Number.NEGATIVE_INFINITY

  constructor(options: WorldOptions) {
    this.random = new Random(options.seed)
    this.discord = new SimDiscord(options, this.clock, this.random.fork())
    this.clusters = options.clusters.map(
      (cluster) => new SimCluster(cluster, this.clock, this.random.fork(), this.discord),
    )
    this.discord.excuse = (id, disconnectedAt) => this.#excuse(id, disconnectedAt)
  }

  /**
   * A new leader takes over: at once from one that is deposed; from one that ends after `pauseMs`, because a Lease runs
   * out and a process starts, and by then whoever it spoke to knows that it is gone.
   */
  lead(end: End = 'stopped', pauseMs = 0): void {
    const old = this.#leader
    if (this.#awaited) return
    this.discord.trace(`the leader is ${end}`)
    if (old) this.#end(old, end)
    this.#awaited = old !== undefined && end !== 'deposed'
    if (this.#awaited) this.clock.after(pauseMs, () => this.#begin())
    else this.#begin()
  }

  #begin(): void {
    const { clock } = this
    this.#awaited = false
    const host = new Host()
    const random = this.random.fork().next
    const lane = new IdentifyLane({
      ...{ clock, random, logger: silent, leadingSince: clock.now() },
    })
    const sessionInfo = { ask: () => this.#answer(host) }
    const term = ++this.#term
    const managers = this.clusters.map(
      (each) =>
        new GatewayManager({
          ...{ cluster: each.options.name, clock, random, logger: silent, term, metrics },
          lane: lane.join(each.options.name, sessionInfo),
          store: each.store(),
          onChange: () => {},
        }),
    )
    this.#leader = { lane, managers, host }
    for (const [i, cluster] of this.clusters.entries()) cluster.follow(managers[i] as GatewayManager, host)
  }

  get lane(): IdentifyLane {
    return (this.#leader as Leader).lane
  }

  /** Runs for `milliseconds`, reconciling as an operator does. */
  async run(milliseconds: number): Promise<void> {
    const until = this.clock.now() + milliseconds
    while (this.clock.now() < until) {
      this.#notice()
      for (const cluster of this.clusters) cluster.reconcile()
      await this.clock.advance(Math.min(500, until - this.clock.now()))
    }
  }

  /** Runs until every cluster is settled. @returns whether that came to be. */
  async settle(limitMs: number): Promise<boolean> {
    while (this.#awaited) await this.run(500)
    const until = this.clock.now() + limitMs
    while (this.clock.now() < until) {
      const settled = this.#allSettled()
      // What was just decided is not seen yet, neither by the workers nor by the manager.
      await this.run(settled ? 2_000 : 500)
      if (settled && this.#allSettled()) return true
    }
    return false
  }

  #allSettled(): boolean {
    return this.clusters.every((cluster) => cluster.settled())
  }

  async stop(): Promise<void> {
    if (this.#leader) await this.#stop(this.#leader)
    for (const { pods } of this.clusters) for (const { worker } of pods.values()) worker.crash()
  }

  /** Remembers when all was well, and for how long. */
  #notice(): void {
    const { faults } = this.discord
    const quiet = faults.invalidSession === 0 && faults.silence === 0 && faults.fatalCode === undefined
    const calm = !this.#awaited && quiet && !this.restProblem && this.clusters.every((cluster) => cluster.calm())
    if (!calm) this.#calmSince = undefined
    else this.#calmSince ??= this.clock.now()
    if (this.#calmSince !== undefined && this.clock.now() - this.#calmSince >= CALM_MS) this.#calmAt = this.clock.now()
  }

  /** Why nobody could have resumed this session: nobody knows it, or all the while something was in the way. */
  #excuse(id: string, disconnectedAt: number | undefined): string | undefined {
    const at = disconnectedAt ?? this.clock.now()
    if (!this.clusters.some((cluster) => cluster.hasCopy(id))) return 'everybody who knew its session is gone'
    const tooOld = this.clock.now() - at >= 90_000
    return tooOld && this.#calmAt < at + CALM_MS ? 'trouble for as long as its session lived' : undefined
  }

  #end(leader: Leader, end: End): void {
    if (end === 'crashed') leader.host.die()
    if (end === 'deposed') this.clock.after(this.random.int(1_000, 30_000), () => void this.#stop(leader))
    else void this.#stop(leader, end === 'stopped')
  }

  async #stop({ lane, managers, host }: Leader, save = false): Promise<void> {
    lane.stop()
    await Promise.all(managers.map((manager) => manager.stop(save)))
    host.die()
  }

  #answer(host: Host): Promise<SessionInfoAnswer> {
    const { clock, random, discord } = this
    this.questions++
    return new Promise((resolve) => {
      clock.after(random.int(5, 200), () => {
        const { total, remaining, resetAfter } = discord.rules.startLimit
        const { maxConcurrency } = discord.rules
        const answer: SessionInfoAnswer = this.restProblem
          ? { ok: false, problem: this.restProblem }
          : {
              ok: true,
              info: {
                url: 'wss://gateway.discord.gg',
                shards: 1,
                limit: { total, remaining, resetAfter, maxConcurrency },
              },
            }
        clock.after(random.int(5, 200), () => !host.dead && resolve(answer))
      })
    })
  }
}
