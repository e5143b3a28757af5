import { createHash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { Range } from '../../src/domain/ranges.ts'
import { desiredOf } from '../../src/manager/desired.ts'
import type { Fleet } from '../../src/manager/fleet.ts'
import { GatewayManager } from '../../src/manager/gateway-manager.ts'
import { httpWorker } from '../../src/manager/http-worker.ts'
import { botOf, type Lanes } from '../../src/manager/lanes.ts'
import type { ManagerMetrics } from '../../src/manager/metrics.ts'
import type { WorkerRef } from '../../src/manager/ports.ts'
import { type RestOptions, restSessionInfo } from '../../src/manager/session-info.ts'
import { background } from '../../src/support/background.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ManagedFleet } from '../fleet-metrics.ts'
import type { ObjectClient } from '../kube/apply.ts'
import type { ObjectKey } from '../kube/objects.ts'
import type { SharderKey } from '../manifests/key-secret.ts'
import { CONTAINER, SHARDER_PORT } from '../manifests/pod.ts'
import type { Credentials } from './credentials.ts'
import { mayHoldShards, ordinalOf, type PodObject, runs } from './objects.ts'
import { firstRemedy, nextRemedy, type Remedy } from './remedy.ts'
import { secretSessionStore } from './session-store.ts'

export interface FleetsOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lanes: Lanes
  readonly dispatcher: Dispatcher
  /** Keeps sessions in Secrets. */
  readonly client: ObjectClient
  readonly metrics: ManagerMetrics
  readonly term: number
  /** The fleet of this ShardCluster changed. */
  readonly onChange: (key: ObjectKey) => void
}

/** What the manager of a ShardCluster is told. */
export interface Managed {
  readonly credentials: Credentials
  readonly key: SharderKey
  /** undefined: not known yet. */
  readonly totalShards: number | undefined
  readonly pods: readonly PodObject[]
}

interface Running {
  readonly manager: GatewayManager
  readonly bot: string
  readonly startedAt: number
  /** As it was managed last. */
  cluster: ShardCluster
  /** Another UID is another ShardCluster of the same name; another number of shards another set of workers. */
  identity: string
  /** How session info is asked for, as a digest. */
  source: string
  remedy: Remedy | undefined
  /** What workers may want, likeliest first. */
  keys: readonly string[]
  /** When a worker last wanted none of them, on the injected clock. */
  keysRefusedAt: number | undefined
  /** Pods that ran before this manager did: of those that were not heard yet it only knows what status says. */
  readonly inherited: ReadonlySet<string>
}

/** What runs is heard within this time after a manager began, or is in trouble. Milliseconds. */
const SETTLE_MS = 15_000
/** A worker that wants no key that is known has the Secret read again at this pace, in milliseconds. */
const KEYS_REFUSED_AGAIN_MS = 15_000

/** The gateway managers of this operator, one a ShardCluster. */
export class Fleets {
  readonly #options: FleetsOptions
  readonly #running = new Map<ObjectKey, Running>()
  #commands = 0

  constructor(options: FleetsOptions) {
    this.#options = options
  }

  get(key: ObjectKey): GatewayManager | undefined {
    return this.#running.get(key)?.manager
  }

  /** Each ShardCluster that is managed, as it is now: linear in the number of shards. */
  all(): ManagedFleet[] {
    return [...this.#running].map(([key, { manager, cluster }]) => ({
      cluster: key,
      fleet: manager.fleet(),
      totalWorkers: cluster.spec.totalWorkers,
      reserve: cluster.spec.identify.reserve,
    }))
  }

  /** The bot of a ShardCluster that is managed. */
  botOf(key: ObjectKey): string | undefined {
    return this.#running.get(key)?.bot
  }

  /**
   * Whether the manager began so lately that it may not have heard each worker that runs, or Discord's session info.
   * `fleet`: as it is now; made once a reconcile, because it is linear in the number of shards.
   */
  settling(key: ObjectKey, fleet: Fleet | undefined): boolean {
    const running = this.#running.get(key)
    if (!running || !fleet) return true
    if (this.#options.clock.now() - running.startedAt > SETTLE_MS) return false
    const { workers, maxConcurrency, sessionProblem } = fleet
    const unheard = workers.some(({ name, connected }) => name !== undefined && !connected)
    return unheard || (maxConcurrency === undefined && sessionProblem === undefined)
  }

  /** When a worker wanted none of the keys that its manager has, on the injected clock: the Secret may have changed. */
  keysRefusedAt(key: ObjectKey): number | undefined {
    return this.#running.get(key)?.keysRefusedAt
  }

  /** Starts or updates the manager of a ShardCluster and tells it which workers there are. */
  manage(key: ObjectKey, cluster: ShardCluster, managed: Managed): void {
    const { credentials, totalShards, pods } = managed
    const running = this.#runningFor(key, cluster, managed)
    running.cluster = cluster
    takeKey(running, managed.key)
    const desired = desiredOf(cluster, credentials.token, totalShards)
    const { fatal } = running.manager
    running.remedy = nextRemedy(running.remedy, desired.remedy, fatal?.closeCode, this.#options.clock.now())
    running.manager.configure({ ...desired, remedy: running.remedy.text })
    running.manager.setWorkers(pods.flatMap((pod) => this.#workerOf(pod, key, running)))
  }

  /** The ShardCluster is gone. Its workers go with their pods. */
  remove(key: ObjectKey): void {
    const running = this.#running.get(key)
    if (!running) return
    this.#running.delete(key)
    background(running.manager.stop(), this.#options.logger, 'end of a manager')
    this.#options.lanes.leave(running.bot, key)
  }

  /** `save`: another leader follows, and shall find every session. */
  async stop(save = false): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    await Promise.all(all.map(({ manager }) => manager.stop(save)))
    this.#options.lanes.stop()
  }

  #runningFor(
    key: ObjectKey,
    cluster: ShardCluster,
    { credentials: { token, restAuthorization: authorization }, totalShards, pods }: Managed,
  ): Running {
    const { baseUrl, timeoutSeconds } = cluster.spec.rest
    const rest: RestOptions = { baseUrl, authorization, token, timeoutMs: timeoutSeconds * 1_000 }
    const bot = botOf(token)
    const identity = `${cluster.metadata.uid}/${bot}/${totalShards ?? '?'}`
    const known = this.#running.get(key)
    // Before Discord's recommendation is known there is nothing that a number could change.
    if (known && (known.identity === identity || known.identity === `${cluster.metadata.uid}/${bot}/?`)) {
      known.identity = identity
      this.#askThrough(known, key, rest)
      return known
    }
    this.remove(key)
    const inherited = new Set(pods.map(({ metadata }) => metadata.uid))
    const running = this.#start(key, cluster, bot, rest, identity, inherited)
    // The token of another bot came instead: it, too, takes its time to reach the pods.
    if (known?.bot !== undefined && known.bot !== bot) running.remedy = firstRemedy(this.#options.clock.now())
    return running
  }

  #start(
    key: ObjectKey,
    cluster: ShardCluster,
    bot: string,
    rest: RestOptions,
    identity: string,
    inherited: ReadonlySet<string>,
  ): Running {
    const { lanes, clock, random, logger, term, client, metrics, onChange } = this.#options
    const store = secretSessionStore({
      ...{ client, clock, cluster: () => running.cluster },
      totalShards: () => running.manager.totalShards,
      onUnreadable: (secret, why) => {
        metrics.boundBroken(key, 'SavedSessions')
        logger.warn(
          { cluster: key, secret, why },
          'saved sessions are not used; shards that nobody else knows start anew',
        )
      },
    })
    const manager = new GatewayManager({
      cluster: key,
      clock,
      random,
      logger,
      lane: lanes.join(bot, key, restSessionInfo(rest)),
      ...{ term, metrics, store },
      // One count for all: a manager that follows another on the same pods must not begin below it.
      count: () => ++this.#commands,
      onChange: () => onChange(key),
    })
    const startedAt = clock.now()
    const source = digestOf(rest)
    const running: Running = {
      ...{ manager, bot, startedAt, cluster, identity, source, inherited },
      remedy: undefined,
      keys: [],
      keysRefusedAt: undefined,
    }
    this.#running.set(key, running)
    return running
  }

  /** A corrected key or address is tried at once: the back-off was about the one before. */
  #askThrough(running: Running, key: ObjectKey, rest: RestOptions): void {
    const source = digestOf(rest)
    if (running.source === source) return
    running.source = source
    this.#options.lanes.join(running.bot, key, restSessionInfo(rest)).refresh()
  }

  #keysRefused(key: ObjectKey, running: Running): void {
    const now = this.#options.clock.now()
    if (now - (running.keysRefusedAt ?? Number.NEGATIVE_INFINITY) < KEYS_REFUSED_AGAIN_MS) return
    running.keysRefusedAt = now
    this.#options.onChange(key)
  }

  #workerOf(pod: PodObject, key: ObjectKey, running: Running): WorkerRef[] {
    const podIP = pod.status?.podIP
    if (!podIP || !mayHoldShards(pod, CONTAINER)) return []
    const { name, uid } = pod.metadata
    const ordinal = ordinalOf(pod)
    const host = podIP.includes(':') ? `[${podIP}]` : podIP
    const port = httpWorker({
      url: `http://${host}:${SHARDER_PORT}`,
      keys: () => running.keys,
      onKeysRefused: () => this.#keysRefused(key, running),
      dispatcher: this.#options.dispatcher,
    })
    const presumed = running.inherited.has(uid) ? presumedRange(running.cluster, ordinal) : undefined
    return [{ ordinal, uid, name, port, running: runs(pod, CONTAINER), ...(presumed && { presumed }) }]
  }
}

/**
 * What a pod of a former leader may hold until it is heard: its range, if all was in its place; while shards moved,
 * nobody knows, and it could be any.
 */
function presumedRange({ status }: ShardCluster, ordinal: number): Range | undefined {
  const inPlace = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  const row = status?.workerStatuses?.find((worker) => worker.ordinal === ordinal)
  if (inPlace && row) return { first: row.first ?? 0, last: row.last ?? -1 }
  return status?.totalShards === undefined ? undefined : { first: 0, last: status.totalShards - 1 }
}

/** The one before stays known, also where the Secret was changed by hand: kubelets take their time. */
function takeKey(running: Running, { current, previous }: SharderKey): void {
  if (running.keys[0] === current) return
  const known = [current, previous, running.keys[0]].filter((key) => key !== undefined)
  running.keys = [...new Set(known)]
}

const digestOf = (rest: RestOptions): string => createHash('sha256').update(JSON.stringify(rest)).digest('hex')
