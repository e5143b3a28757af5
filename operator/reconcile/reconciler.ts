import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { type ShardCluster, shardClusterSchema } from '../../src/api/shard-cluster.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import { type Clock, timeText } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { done, type Outcome, requeueAfter, TerminalError } from '../kube/controller.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { ObjectKey, StoredObject } from '../kube/objects.ts'
import { secrets, shardClusters } from '../kube/resources.ts'
import type { StoreReader } from '../kube/store.ts'
import { dueKey, ROTATE_KEY_ANNOTATION, type SharderKey } from '../manifests/key-secret.ts'
import { authoritySecretName, keySecretName, servernameOf, tlsSecretName } from '../manifests/names.ts'
import type { PodDefaults } from '../manifests/pod.ts'
import { renewalOf, type WorkerTrust } from '../trust/due.ts'
import { dueTrust, isStored } from '../trust/due-trust.ts'
import { issuing } from '../trust/issue.ts'
import { Applied } from './applied.ts'
import { applyChild } from './apply-child.ts'
import { type CredentialsAnswer, readCredentials, readStoredTrust } from './credentials.ts'
import { decide, managedOf, type Plan } from './decide.ts'
import type { Fleets } from './fleets.ts'
import { statusOfInvalid } from './invalid.ts'
import { ordinalOf, type PodObject, type StatefulSetObject } from './objects.ts'
import type { Heard, Observed } from './observed.ts'

export interface ReconcilerOptions {
  readonly client: ObjectClient
  readonly events: EventRecorder
  readonly fleets: Fleets
  readonly clock: Clock
  readonly defaults: PodDefaults
  readonly clusters: StoreReader<StoredObject>
  readonly statefulSets: StoreReader<StatefulSetObject>
  /** Indexed by the ShardCluster they are labelled with, see clusterKey. */
  readonly pods: StoreReader<PodObject>
  /** Has a ShardCluster looked at in so many milliseconds, or sooner. */
  readonly lookAgain: (key: ObjectKey, milliseconds: number) => void
}

/** What is remembered of a ShardCluster between two looks. */
interface Memory {
  readonly uid: string
  status: ShardClusterStatus
  statusHash: string
  credentials: CredentialsAnswer | undefined
  /** Of which generation they are, for which value of the annotation, and after which refusal. */
  credentialsFor: string
  readonly applied: Applied
  /** The key between manager and workers: as it was read, or as it will be made. */
  key: SharderKey
  trust: WorkerTrust | undefined
  /** After which generation and refusal its Secrets were read. */
  trustFor: string
  /** Milliseconds since 1970. */
  trustUntil: number
  /** A child that the API server refused; not tried again before `until`, on the injected clock, or a new generation. */
  refused: { readonly problem: Problem; readonly generation: number; readonly until: number } | undefined
}

type Problem = NonNullable<Observed['refused']>

/**
 * A child that was refused, or that is somebody else's, is tried again at this pace, in milliseconds: a quota or an
 * admission rule may have changed.
 */
const REFUSED_AGAIN_MS = 15_000

/** Brings the world nearer to what a ShardCluster asks for: observe, decide, act. */
export class Reconciler {
  readonly #options: ReconcilerOptions
  readonly #memories = new Map<ObjectKey, Memory>()

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  async reconcile(key: ObjectKey, signal: AbortSignal, logger: Logger): Promise<Outcome> {
    const stored = this.#options.clusters.get(key)
    if (!stored || stored.metadata.deletionTimestamp !== undefined) return this.#forget(key)
    const parsed = shardClusterSchema.safeParse(stored)
    if (!parsed.success) return this.#refuse(key, stored, parsed.error, signal)
    const memory = this.#memoryOf(key, stored.metadata.uid, parsed.data)
    const seen = await this.#observe(key, parsed.data, memory, signal)
    // The manager first: what runs must not wait for what can fail. What it said before was about the manifest and the
    // pods before, and would call done what has not begun.
    const { fleets } = this.#options
    const managed = managedOf({ ...seen, fleet: fleets.get(key) })
    if (managed) fleets.manage(key, parsed.data, managed)
    else fleets.trust(key, parsed.data, seen.trust)
    const observed = { ...seen, ...this.#heard(key, seen.pods) }
    const plan = decide(observed)
    const refused = await this.#applyChildren(plan, parsed.data, memory, signal, logger)
    return this.#publish(stored, refused ? decide({ ...observed, refused }) : plan, memory, signal)
  }

  /** A child changed or vanished: what was applied to it is no longer what is there. */
  invalidate(key: ObjectKey, kind: string, name: string): void {
    this.#memories.get(key)?.applied.forget(kind, name)
  }

  #forget(key: ObjectKey): Outcome {
    this.#options.fleets.remove(key)
    this.#memories.delete(key)
    return done
  }

  /** What runs goes on; the user is told. Not tried again until the object changes. */
  async #refuse(key: ObjectKey, stored: StoredObject, error: z.ZodError, signal: AbortSignal): Promise<never> {
    const { client, events, clock } = this.#options
    const { name, namespace } = stored.metadata
    this.#memories.delete(key)
    const { status, events: news } = statusOfInvalid(stored, error, timeText(clock, clock.now()))
    await client.applyStatus(shardClusters, { metadata: { name, namespace }, status } as never, { signal })
    for (const event of news) events.record({ regarding: stored, resource: shardClusters, ...event })
    throw new TerminalError(`ShardCluster ${key} does not fit this operator's API: ${error.message}`)
  }

  #memoryOf(key: ObjectKey, uid: string, cluster: ShardCluster): Memory {
    const known = this.#memories.get(key)
    if (known?.uid === uid) return known
    // Another ShardCluster of the same name: the manager of the one before knows nothing of it.
    if (known) this.#options.fleets.remove(key)
    const status = cluster.status ?? {}
    const memory: Memory = {
      uid,
      status,
      statusHash: '',
      credentials: undefined,
      credentialsFor: '',
      applied: new Applied(),
      key: dueKey(undefined, cluster),
      trust: undefined,
      trustFor: '',
      trustUntil: 0,
      refused: undefined,
    }
    this.#memories.set(key, memory)
    return memory
  }

  /** What the manager says. */
  #heard(key: ObjectKey, pods: readonly PodObject[]): Heard {
    const { fleets, clock } = this.#options
    const manager = fleets.get(key)
    const fleet = manager?.fleet()
    return {
      fleet,
      settling: fleets.settling(key, fleet),
      empty: new Set(pods.map(ordinalOf).filter((ordinal) => manager?.removable(ordinal))),
      estimatedTime: fleet?.estimatedEnd === undefined ? undefined : timeText(clock, fleet.estimatedEnd),
    }
  }

  async #observe(
    key: ObjectKey,
    cluster: ShardCluster,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<Omit<Observed, keyof Heard>> {
    const { clock, defaults, statefulSets, pods } = this.#options
    const { uid } = cluster.metadata
    const credentials = await this.#credentials(key, cluster, memory, signal)
    return {
      cluster,
      status: memory.status,
      credentials,
      statefulSets: statefulSets.childrenOf(uid ?? ''),
      pods: pods.indexed(key),
      refused: undefined,
      time: timeText(clock, clock.now()),
      key: memory.key,
      trust: await this.#trust(key, cluster, memory, signal),
      defaults,
    }
  }

  /** Read again only when something calls for it: in a steady state there is not one call. */
  async #credentials(
    key: ObjectKey,
    cluster: ShardCluster,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<CredentialsAnswer> {
    const { client, fleets } = this.#options
    const { generation, annotations } = cluster.metadata
    const calledFor = [generation, annotations?.[ROTATE_KEY_ANNOTATION], fleets.keysRefusedAt(key)].join('/')
    if (memory.credentialsFor === calledFor && memory.credentials?.ok && !isStalled(memory.status))
      return memory.credentials
    const answer = await readCredentials(client, cluster, signal)
    memory.credentials = answer
    memory.credentialsFor = calledFor
    if (!answer.ok) return answer
    const { key: stored } = answer.credentials
    memory.key = dueKey(stored ?? memory.key, cluster)
    if (!stored) memory.applied.forget('Secret', keySecretName(cluster))
    return answer
  }

  /** What workers are known by. Its Secrets are read when something calls for it, and written before they run out. */
  async #trust(key: ObjectKey, cluster: ShardCluster, memory: Memory, signal: AbortSignal): Promise<WorkerTrust> {
    const { client, fleets, clock, lookAgain } = this.#options
    const calledFor = [cluster.metadata.generation, fleets.untrustedAt(key)].join('/')
    const stored =
      memory.trust && memory.trustFor === calledFor ? undefined : await readStoredTrust(client, cluster, signal)
    memory.trustFor = calledFor
    const now = clock.date().getTime()
    if (memory.trust === undefined || stored || now >= memory.trustUntil) {
      const asked = { stored, known: memory.trust, servername: servernameOf(cluster), now }
      memory.trust = await dueTrust(asked, issuing)
      memory.trustUntil = renewalOf(memory.trust)
      if (stored && !isStored(stored, memory.trust))
        for (const nameOf of [authoritySecretName, tlsSecretName]) memory.applied.forget('Secret', nameOf(cluster))
    }
    lookAgain(key, memory.trustUntil - now)
    return memory.trust
  }

  /** @returns what keeps a child from being what it shall be. Throws what may pass by itself. */
  async #applyChildren(
    plan: Plan,
    cluster: ShardCluster,
    memory: Memory,
    signal: AbortSignal,
    logger: Logger,
  ): Promise<Problem | undefined> {
    const { namespace, generation = 0 } = cluster.metadata
    const { client, clock } = this.#options
    const { refused, applied } = memory
    if (refused && refused.generation === generation && clock.now() < refused.until) return refused.problem
    memory.refused = undefined
    for (const child of plan.apply) {
      const outcome = await applyChild(child, { cluster, client, applied, signal, logger })
      if (outcome === 'applied' && child.resource === secrets) memory.credentials = undefined
      if (typeof outcome !== 'object') continue
      memory.refused = { problem: outcome, generation, until: clock.now() + REFUSED_AGAIN_MS }
      return outcome
    }
    for (const { resource, name, uid } of plan.remove)
      await client.delete(resource, { namespace, name }, { uid, signal })
    return undefined
  }

  async #publish(stored: StoredObject, plan: Plan, memory: Memory, signal: AbortSignal): Promise<Outcome> {
    await this.#writeStatus(stored, plan.status, memory, signal)
    for (const event of plan.events)
      this.#options.events.record({ regarding: stored, resource: shardClusters, ...event })
    return plan.requeue ? requeueAfter(plan.requeue.afterMs, plan.requeue.reason) : done
  }

  async #writeStatus(
    { metadata }: StoredObject,
    status: ShardClusterStatus,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<void> {
    const hash = createHash('sha256').update(JSON.stringify(status)).digest('hex')
    if (hash === memory.statusHash) return
    const { name, namespace } = metadata
    await this.#options.client.applyStatus(shardClusters, { metadata: { name, namespace }, status } as never, {
      signal,
    })
    memory.status = status
    memory.statusHash = hash
  }
}

const isStalled = ({ conditions }: ShardClusterStatus): boolean =>
  conditions?.some(
    ({ type, status, reason }) => (type === 'Stalled' && status === 'True') || reason.endsWith('Unauthorized'),
  ) ?? false
