import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Dispatcher } from 'undici'
import type { Condition } from '../api/conditions.ts'
import type { ShardCluster } from '../api/shard-cluster.ts'
import type { ApiTarget } from '../bot-api/source.ts'
import { findings, mergeConditions } from '../domain/conditions.ts'
import { sinkSettings } from '../domain/sink-secrets.ts'
import { desiredOf } from '../manager/desired.ts'
import { factsOf } from '../manager/facts-of.ts'
import type { Fleet } from '../manager/fleet.ts'
import { GatewayManager } from '../manager/gateway-manager.ts'
import type { LaneMember } from '../manager/lane-member.ts'
import { type Applicant, botOf, type Lanes } from '../manager/lanes.ts'
import type { ManagerMetrics } from '../manager/metrics.ts'
import type { SessionStore } from '../manager/ports.ts'
import { type RestOptions, restSessionInfo } from '../manager/session-info.ts'
import type { WorkerSettings } from '../protocol/worker-settings.ts'
import { background } from '../support/background.ts'
import type { Cancel, Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { type Manifest, secretValue } from './manifest.ts'
import type { RunDirectory } from './run-directory.ts'
import { fileSessionStore } from './session-files.ts'
import { WorkerProcess } from './worker-process.ts'

export interface LocalOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly lanes: Lanes
  readonly dispatcher: Dispatcher
  readonly directory: RunDirectory
  /** Newer in each run than in the one before, so that epochs are. */
  readonly term: number
  /** Where sessions outlive the run; undefined: they end with it. */
  readonly sessionsFolder: string | undefined
  readonly metrics: ManagerMetrics
  readonly onTrouble: (message: string) => void
}

/** Changes are gathered this long, in milliseconds. */
const OBSERVE_MS = 50

/** A ShardCluster on this machine: the same manager as in Kubernetes, with child processes as workers. */
export class LocalCluster {
  readonly name: string
  readonly #options: LocalOptions
  readonly #manager: GatewayManager
  readonly #member: LaneMember
  /** How its REST proxy is asked. */
  #rest: RestOptions
  readonly #authorization = randomBytes(24).toString('base64url')
  readonly #workers = new Map<number, WorkerProcess>()
  #workersEver = 0
  #cluster: ShardCluster
  /** The key of the API for bots, as the manifest says it now. */
  #apiKey: string | undefined
  #conditions: Condition[] = []
  #observing: Cancel | undefined
  #stopping: Promise<unknown> | undefined

  /** @throws ManifestError when a Secret is missing. */
  constructor(cluster: ShardCluster, manifest: Manifest, options: LocalOptions) {
    this.#options = options
    this.#cluster = cluster
    this.name = cluster.metadata.name
    const { clock, logger, lanes, term, metrics, sessionsFolder } = options
    this.#rest = restOf(cluster, manifest)
    this.#member = lanes.join(applicantOf(cluster, this.#rest))
    this.#manager = new GatewayManager({
      cluster: this.name,
      clock,
      random: Math.random,
      logger,
      ...{ lane: this.#member, term, metrics },
      ...(sessionsFolder !== undefined && { store: this.#storeIn(join(sessionsFolder, this.name)) }),
      onChange: () => this.observeSoon(),
    })
    this.apply(cluster, manifest)
  }

  /** What a change needs that only a new LocalCluster can give: another bot, or another number of shards. */
  static same(a: ShardCluster, aManifest: Manifest, b: ShardCluster, bManifest: Manifest): boolean {
    return a.spec.totalShards === b.spec.totalShards && botOf(tokenOf(a, aManifest)) === botOf(tokenOf(b, bManifest))
  }

  /** As it was applied last. */
  get manifest(): ShardCluster {
    return this.#cluster
  }

  /** As the API for bots needs it. */
  get apiTarget(): ApiTarget {
    const { namespace = 'default', name } = this.#cluster.metadata
    const key = this.#apiKey === undefined ? undefined : { id: name, read: async () => this.#apiKey }
    return { namespace, name, key, bot: this.#member.lane.id, directory: this.#manager.directory }
  }

  /** Takes a changed manifest. */
  apply(cluster: ShardCluster, manifest: Manifest): void {
    this.#cluster = cluster
    const token = tokenOf(cluster, manifest)
    const api = cluster.spec.api?.authorizationSecretRef
    this.#apiKey = api && secretValue(manifest, api, 'spec.api.authorizationSecretRef')
    const rest = restOf(cluster, manifest)
    // A question that is under way would be asked again for nothing.
    if (!isDeepStrictEqual(rest, this.#rest)) this.#options.lanes.update(this.#member, applicantOf(cluster, rest))
    this.#rest = rest
    this.#manager.configure(desiredOf(cluster, token))
    for (let ordinal = 0; ordinal < cluster.spec.totalWorkers; ordinal++)
      this.#ensure(this.#settings(ordinal, token, manifest))
    this.observe()
  }

  /**
   * Replaces the process of one worker, as its pod is when the template changes: the old one closes its shards so that
   * their sessions live on. Resolves when it is gone and the new one was started; the fleet says when it is back.
   */
  async restart(ordinal: number): Promise<void> {
    const running = this.#workers.get(ordinal)
    if (!running) throw new RangeError(`there is no worker ${ordinal}`)
    await this.#end(running)
    this.#ensure(running.settings)
  }

  /** The fleet or the processes changed: looks again, once, soon. */
  observeSoon(): void {
    this.#observing ??= this.#options.clock.after(OBSERVE_MS, () => {
      this.#observing = undefined
      this.observe()
    })
  }

  /** Ends workers that nobody needs any more, and tells the manager which there are: it hears each until it is gone. */
  observe(): void {
    if (this.#stopping) return
    for (const [ordinal, worker] of this.#workers) {
      if (ordinal < this.#cluster.spec.totalWorkers || (worker.ref && !this.#manager.removable(ordinal))) continue
      if (!worker.stopping) background(this.#end(worker), this.#options.logger, 'end of a worker')
    }
    this.#manager.setWorkers([...this.#workers.values()].map(({ ref }) => ref).filter((ref) => ref !== undefined))
  }

  fleet(): Fleet {
    return this.#manager.fleet()
  }

  /** The conditions as `kubectl describe` would show them. */
  conditions(): Condition[] {
    const { clock } = this.#options
    const { identify, totalWorkers } = this.#cluster.spec
    const facts = factsOf(this.fleet(), { totalWorkers, reserve: identify.reserve }, clock)
    this.#conditions = mergeConditions(this.#conditions, findings(facts), 1, clock.date().toISOString())
    return this.#conditions
  }

  /** Closes every shard so that its session lives on, hands the last events over, ends the processes. */
  stop(): Promise<unknown> {
    this.#observing?.()
    // The workers first: their last word is for the manager.
    this.#stopping ??= Promise.all([...this.#workers.values()].map((worker) => worker.stop()))
      .then(() => this.#manager.stop(true))
      .then(() => this.#options.lanes.leave(this.#member))
    return this.#stopping
  }

  #storeIn(folder: string): SessionStore {
    return fileSessionStore(folder, this.#options.clock, () => this.#cluster.spec.sessions.saveIntervalSeconds * 1_000)
  }

  #ensure(settings: WorkerSettings): void {
    const running = this.#workers.get(settings.workerId)
    if (!running) this.#start(settings)
    else if (running.stopping || JSON.stringify(running.settings) !== JSON.stringify(settings))
      background(
        this.#end(running).then(() => this.#ensure(settings)),
        this.#options.logger,
        'restart of a worker',
      )
  }

  /** Resolves when its process is gone, and the ordinal free for another. */
  async #end(worker: WorkerProcess): Promise<void> {
    const { workerId } = worker.settings
    await worker.stop()
    if (this.#workers.get(workerId) !== worker) return
    this.#workers.delete(workerId)
    this.observeSoon()
  }

  #start(settings: WorkerSettings): void {
    if (this.#stopping) return
    const { directory, dispatcher, onTrouble } = this.#options
    const worker = new WorkerProcess({
      settings,
      stateDirectory: directory.folder(`${this.name}/state-${settings.workerId}-${++this.#workersEver}`),
      authorization: this.#authorization,
      dispatcher,
      logFile: directory.log(`${this.name}-${settings.workerId}.log`),
      graceMs: this.#cluster.spec.worker.terminationGracePeriodSeconds * 1_000,
      onChange: () => this.observeSoon(),
      onTrouble,
    })
    this.#workers.set(settings.workerId, worker)
  }

  #settings(workerId: number, token: string, manifest: Manifest): WorkerSettings {
    const { directory } = this.#options
    const { events, worker, gateway } = this.#cluster.spec
    return {
      workerId,
      host: '127.0.0.1',
      port: 0,
      threads: worker.threads,
      tokenFile: directory.secret(`${this.name}/token`, token),
      authorizationFile: directory.secret(`${this.name}/authorization`, this.#authorization),
      sinks: events.map((sink, i) =>
        sinkSettings(sink, ({ field, ref, file }) =>
          directory.secret(`${this.name}/${file}`, secretValue(manifest, ref, `spec.events[${i}].${field}`)),
        ),
      ),
      gatewayHosts: gateway.hosts,
      logLevel: worker.logLevel,
      graceSeconds: worker.terminationGracePeriodSeconds,
    }
  }
}

const tokenOf = ({ spec }: ShardCluster, manifest: Manifest): string =>
  secretValue(manifest, spec.tokenSecretRef, 'spec.tokenSecretRef')

function restOf(cluster: ShardCluster, manifest: Manifest): RestOptions {
  const { baseUrl, authorizationSecretRef: ref, timeoutSeconds } = cluster.spec.rest
  return {
    ...{ baseUrl, token: tokenOf(cluster, manifest), timeoutMs: timeoutSeconds * 1_000 },
    gatewayHosts: cluster.spec.gateway.hosts,
    authorization: ref && secretValue(manifest, ref, 'spec.rest.authorizationSecretRef'),
  }
}

/** All manifests are of one user, who trusts them as one namespace. */
const applicantOf = ({ metadata }: ShardCluster, rest: RestOptions): Applicant => ({
  ...{ cluster: metadata.name, namespace: '', token: rest.token },
  sessionInfo: restSessionInfo(rest),
})
