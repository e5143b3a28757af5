import type { Dispatcher } from 'undici'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { desiredOf } from '../../src/manager/desired.ts'
import { GatewayManager } from '../../src/manager/gateway-manager.ts'
import { httpWorker } from '../../src/manager/http-worker.ts'
import { botOf, type Lanes } from '../../src/manager/lanes.ts'
import type { WorkerRef } from '../../src/manager/ports.ts'
import { restSessionInfo } from '../../src/manager/session-info.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ObjectKey } from '../kube/objects.ts'
import { CONTAINER, SHARDER_PORT } from '../manifests/pod.ts'
import type { Credentials } from './credentials.ts'
import { ordinalOf, type PodObject, runs } from './objects.ts'

export interface FleetsOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lanes: Lanes
  readonly dispatcher: Dispatcher
  readonly term: number
  /** The fleet of this ShardCluster changed. */
  readonly onChange: (key: ObjectKey) => void
}

interface Running {
  readonly manager: GatewayManager
  readonly bot: string
  /** Another UID is another ShardCluster of the same name; another number of shards another set of workers. */
  readonly identity: string
}

/** The gateway managers of this operator, one a ShardCluster. */
export class Fleets {
  readonly #options: FleetsOptions
  readonly #running = new Map<ObjectKey, Running>()

  constructor(options: FleetsOptions) {
    this.#options = options
  }

  get(key: ObjectKey): GatewayManager | undefined {
    return this.#running.get(key)?.manager
  }

  /** Starts or updates the manager of a ShardCluster and tells it which workers there are. */
  manage(
    key: ObjectKey,
    cluster: ShardCluster,
    credentials: Credentials,
    totalShards: number | undefined,
    pods: readonly PodObject[],
  ): void {
    const manager = this.#managerOf(key, cluster, credentials, totalShards)
    manager.configure(desiredOf(cluster, credentials.token, totalShards))
    const { key: authorization } = credentials
    if (authorization !== undefined)
      manager.setWorkers(pods.flatMap((pod) => this.#workerOf(pod, cluster, authorization)))
  }

  /** The ShardCluster is gone. Its workers go with their pods. */
  remove(key: ObjectKey): void {
    const running = this.#running.get(key)
    if (!running) return
    this.#running.delete(key)
    void running.manager.stop()
    this.#options.lanes.leave(running.bot, key)
  }

  async stop(): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    await Promise.all(all.map(({ manager }) => manager.stop()))
    this.#options.lanes.stop()
  }

  #managerOf(
    key: ObjectKey,
    cluster: ShardCluster,
    { token, restAuthorization }: Credentials,
    totalShards: number | undefined,
  ): GatewayManager {
    const { lanes, clock, random, logger, term, onChange } = this.#options
    const { baseUrl, timeoutSeconds } = cluster.spec.rest
    const bot = botOf(token)
    const identity = `${cluster.metadata.uid}/${bot}/${totalShards ?? '?'}`
    const known = this.#running.get(key)
    // Before Discord's recommendation is known there is nothing that a number could change.
    const same = known && (known.identity === identity || known.identity === `${cluster.metadata.uid}/${bot}/?`)
    if (known && !same) this.remove(key)
    const source = restSessionInfo({
      baseUrl,
      authorization: restAuthorization,
      token,
      timeoutMs: timeoutSeconds * 1_000,
    })
    const lane = lanes.join(bot, key, source)
    const manager =
      known && same
        ? known.manager
        : new GatewayManager({ cluster: key, clock, random, logger, lane, term, onChange: () => onChange(key) })
    this.#running.set(key, { manager, bot, identity })
    return manager
  }

  #workerOf(pod: PodObject, cluster: ShardCluster, authorization: string): WorkerRef[] {
    const podIP = pod.status?.podIP
    if (!podIP || !runs(pod, CONTAINER)) return []
    const { name, uid } = pod.metadata
    const ordinal = ordinalOf(pod)
    const host = podIP.includes(':') ? `[${podIP}]` : podIP
    const port = httpWorker({
      url: `http://${host}:${SHARDER_PORT}`,
      authorization,
      dispatcher: this.#options.dispatcher,
    })
    // What it held when a manager last looked: until this one hears it, nobody else is given those shards.
    const row = cluster.status?.workerStatuses?.find((worker) => worker.ordinal === ordinal && worker.pod === name)
    return [{ ordinal, uid, name, port, ...(row && { presumed: { first: row.first, last: row.last } }) }]
  }
}
