import { createHash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { desiredOf } from '../../src/manager/desired.ts'
import type { Fleet } from '../../src/manager/fleet.ts'
import { GatewayManager } from '../../src/manager/gateway-manager.ts'
import { httpWorker } from '../../src/manager/http-worker.ts'
import { type Applicant, botOf, type Lanes } from '../../src/manager/lanes.ts'
import type { ManagerMetrics } from '../../src/manager/metrics.ts'
import type { WorkerRef } from '../../src/manager/ports.ts'
import { type RestOptions, type RestWay, restSessionInfo } from '../../src/manager/session-info.ts'
import { SecureWorkerAgent } from '../../src/manager/worker-agent.ts'
import { background } from '../../src/support/background.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ManagedFleet } from '../fleet-metrics.ts'
import type { ObjectClient } from '../kube/apply.ts'
import type { ObjectKey } from '../kube/objects.ts'
import type { SharderKey } from '../manifests/key-secret.ts'
import { servernameOf } from '../manifests/names.ts'
import { CONTAINER, SHARDER_PORT, servesTls } from '../manifests/pod.ts'
import { authoritiesOf, type WorkerTrust } from '../trust/due.ts'
import type { Credentials } from './credentials.ts'
import { mayHoldShards, ordinalOf, type PodObject, runs } from './objects.ts'
import { presumedRange } from './presumed-range.ts'
import { firstRemedy, nextRemedy } from './remedy.ts'
import { type Running, takeKey } from './running.ts'
import { secretSessionStore } from './session-store.ts'

export interface FleetsOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lanes: Lanes
  /** How REST proxies are reached. Default: any. */
  readonly restWay?: RestWay
  /** For workers that serve no TLS. */
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
  readonly trust: WorkerTrust
  /** undefined: not known yet. */
  readonly totalShards: number | undefined
  readonly pods: readonly PodObject[]
}

/** What runs is heard within this time after a manager began, or is in trouble. Milliseconds. */
const SETTLE_MS = 15_000
/** A worker that wants no key that is known has the Secret read again at this pace, in milliseconds. */
const KEYS_REFUSED_AGAIN_MS = 15_000
/** The same, of one whose certificate is not of its ShardCluster. */
const UNTRUSTED_AGAIN_MS = 15_000

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

  /** The bot of a ShardCluster that is managed: the same for those that share Discord's limits, and for nobody else. */
  botOf(key: ObjectKey): string | undefined {
    return this.#running.get(key)?.member.lane.id
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

  /** When the certificate of a worker was not trusted, on the injected clock: its Secret may have changed. */
  untrustedAt(key: ObjectKey): number | undefined {
    return this.#running.get(key)?.untrustedAt
  }

  /** Has a manager that runs trust workers by that; it counts for connections that are made from now on. */
  trust(key: ObjectKey, cluster: ShardCluster, { authority }: WorkerTrust): void {
    const running = this.#running.get(key)
    running?.agent.trust({
      servername: servernameOf(cluster),
      authorities: authoritiesOf(authority),
      onUntrusted: () => this.#untrusted(key, running),
    })
  }

  /** Starts or updates the manager of a ShardCluster and tells it which workers there are. */
  manage(key: ObjectKey, cluster: ShardCluster, managed: Managed): void {
    const { credentials, totalShards, pods } = managed
    const running = this.#runningFor(key, cluster, managed)
    running.cluster = cluster
    takeKey(running, managed.key)
    this.trust(key, cluster, managed.trust)
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
    this.#end(running)
  }

  #end({ manager, member, agent }: Running): void {
    const stopped = manager.stop().finally(() => agent.destroy())
    background(stopped, this.#options.logger, 'end of a manager')
    this.#options.lanes.leave(member)
  }

  /** `save`: another leader follows, and shall find every session. */
  async stop(save = false): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    await Promise.all(all.map(({ manager, agent }) => manager.stop(save).then(() => agent.destroy())))
    this.#options.lanes.stop()
  }

  #runningFor(
    key: ObjectKey,
    cluster: ShardCluster,
    { credentials: { token, restAuthorization: authorization }, totalShards, pods }: Managed,
  ): Running {
    const { baseUrl, timeoutSeconds } = cluster.spec.rest
    const { hosts: gatewayHosts } = cluster.spec.gateway
    const rest: RestOptions = { baseUrl, authorization, token, timeoutMs: timeoutSeconds * 1_000, gatewayHosts }
    const applicant = this.#applicant(key, cluster, rest)
    const bot = botOf(token)
    const identity = `${cluster.metadata.uid}/${bot}/${totalShards ?? '?'}`
    const known = this.#running.get(key)
    // Before Discord's recommendation is known there is nothing that a number could change.
    const same = known && (known.identity === identity || known.identity === `${cluster.metadata.uid}/${bot}/?`)
    if (same && this.#askThrough(known, applicant, rest)) {
      known.identity = identity
      return known
    }
    const inherited = new Set(pods.map(({ metadata }) => metadata.uid))
    // Before the one before leaves: the lane of a bot remembers when its last IDENTIFYs left.
    const running = this.#start(key, cluster, bot, applicant, digestOf(rest), identity, inherited)
    if (known) this.#end(known)
    // The token of another bot came instead: it, too, takes its time to reach the pods.
    if (known && known.bot !== bot) running.remedy = firstRemedy(this.#options.clock.now())
    return running
  }

  #applicant(key: ObjectKey, { metadata: { namespace = '' } }: ShardCluster, rest: RestOptions): Applicant {
    const sessionInfo = restSessionInfo(rest, this.#options.restWay)
    return { cluster: key, namespace, token: rest.token, sessionInfo }
  }

  #start(
    key: ObjectKey,
    cluster: ShardCluster,
    bot: string,
    applicant: Applicant,
    source: string,
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
    const member = lanes.join(applicant)
    const manager = new GatewayManager({
      cluster: key,
      clock,
      random,
      logger,
      ...{ lane: member, term, metrics, store },
      // One count for all: a manager that follows another on the same pods must not begin below it.
      count: () => ++this.#commands,
      onChange: () => onChange(key),
    })
    const startedAt = clock.now()
    const running: Running = {
      ...{ manager, bot, member, startedAt, cluster, identity, source, inherited },
      remedy: undefined,
      keys: [],
      keysRefusedAt: undefined,
      agent: new SecureWorkerAgent(),
      untrustedAt: undefined,
    }
    this.#running.set(key, running)
    return running
  }

  /** A corrected key or address is tried at once. @returns whether the manager may go on in the lane where it is. */
  #askThrough(running: Running, applicant: Applicant, rest: RestOptions): boolean {
    const source = digestOf(rest)
    if (running.source === source) return true
    if (!this.#options.lanes.update(running.member, applicant)) return false
    running.source = source
    return true
  }

  #keysRefused(key: ObjectKey, running: Running): void {
    const now = this.#options.clock.now()
    if (now - (running.keysRefusedAt ?? Number.NEGATIVE_INFINITY) < KEYS_REFUSED_AGAIN_MS) return
    running.keysRefusedAt = now
    this.#options.onChange(key)
  }

  #untrusted(key: ObjectKey, running: Running): void {
    const now = this.#options.clock.now()
    if (now - (running.untrustedAt ?? Number.NEGATIVE_INFINITY) < UNTRUSTED_AGAIN_MS) return
    running.untrustedAt = now
    this.#options.onChange(key)
  }

  #workerOf(pod: PodObject, key: ObjectKey, running: Running): WorkerRef[] {
    const podIP = pod.status?.podIP
    if (!podIP || !mayHoldShards(pod, CONTAINER)) return []
    const { name, uid } = pod.metadata
    const ordinal = ordinalOf(pod)
    const host = podIP.includes(':') ? `[${podIP}]` : podIP
    const tls = servesTls(pod, running.cluster)
    const port = httpWorker({
      url: `${tls ? 'https' : 'http'}://${host}:${SHARDER_PORT}`,
      keys: () => running.keys,
      onKeysRefused: () => this.#keysRefused(key, running),
      dispatcher: tls ? running.agent : this.#options.dispatcher,
    })
    const presumed = running.inherited.has(uid) ? presumedRange(running.cluster, ordinal) : undefined
    return [{ ordinal, uid, name, port, running: runs(pod, CONTAINER), ...(presumed && { presumed }) }]
  }
}

const digestOf = (rest: RestOptions): string => createHash('sha256').update(JSON.stringify(rest)).digest('hex')
