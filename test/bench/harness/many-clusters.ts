import { setTimeout as sleep } from 'node:timers/promises'
import { KubeConfig } from '@kubernetes/client-node'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { namespaces, secrets, shardClusters } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import type { ShardClusterStatus } from '../../../src/api/status.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { forEach } from './until.ts'

/** What tells one ShardCluster of a measurement from the next. */
export interface ClusterShape {
  readonly namespace: string
  readonly name: string
  readonly totalShards: number
  readonly totalWorkers: number
  readonly restUrl: string
  readonly secret: string
  readonly windowMs: number
}

type Cluster = StoredObject & { readonly status?: ShardClusterStatus }

/** ShardClusters of a measurement write and read at most so many at once. */
const AT_ONCE = 8

/** ShardClusters as their users see them: Secrets and manifests go in, conditions come out. */
export class ManyClusters {
  readonly #transport: KubeTransport
  readonly #client: ObjectClient

  constructor(kubeconfig: string) {
    const config = new KubeConfig()
    config.loadFromFile(kubeconfig)
    this.#transport = KubeTransport.fromConfig(config, { clock: systemClock, logger: createLogger('many', 'silent') })
    this.#client = new ObjectClient(this.#transport, 'bench')
  }

  /** A namespace with the Secret of a bot, named `bot`. */
  async namespace(name: string, token: string, authorization: string): Promise<void> {
    await this.#client.apply(namespaces, { metadata: { name } })
    await this.secret(name, 'bot', token, authorization)
  }

  async secret(namespace: string, name: string, token: string, authorization: string): Promise<void> {
    const stringData = { token, 'rest-authorization': authorization }
    await this.#client.apply(secrets, { metadata: { namespace, name }, ...{ stringData } })
  }

  /** Creates or changes one. */
  async apply(shape: ClusterShape, reserve = 100): Promise<void> {
    const { namespace, name, totalShards, totalWorkers, restUrl, secret, windowMs } = shape
    const spec = {
      totalShards,
      totalWorkers,
      tokenSecretRef: { name: secret },
      rest: { baseUrl: restUrl, authorizationSecretRef: { name: secret }, timeoutSeconds: 30 },
      gateway: { intents: ['Guilds'], hosts: ['ws://127.0.0.1'] },
      identify: { windowMilliseconds: windowMs, reserve },
      // Otherwise each worker's sessions are written once a minute: by choice, and not because anything changed.
      sessions: { saveIntervalSeconds: 0 },
      events: [{ name: 'bot', http: { url: 'http://bot.invalid/' } }],
    }
    await this.#client.apply(shardClusters, { metadata: { namespace, name }, ...{ spec } })
  }

  async applyAll(shapes: readonly ClusterShape[]): Promise<void> {
    await forEach(shapes, AT_ONCE, (shape) => this.apply(shape))
  }

  /** `namespace/name` of those that are Ready in their present generation, and why the others are not. */
  async look(): Promise<{ ready: ReadonlySet<string>; waiting: ReadonlyMap<string, string> }> {
    const ready = new Set<string>()
    const waiting = new Map<string, string>()
    for (const { metadata, status } of (await this.#client.list<Cluster>(shardClusters, {})).items) {
      const key = `${metadata.namespace}/${metadata.name}`
      const condition = status?.conditions?.find(({ type }) => type === 'Ready')
      if (condition?.status === 'True') ready.add(key)
      else waiting.set(key, condition ? `${condition.reason}: ${condition.message}` : 'never looked at')
    }
    return { ready, waiting }
  }

  /** Changes one every `everyMs` until the signal aborts. @returns how often. */
  async disturb(shape: ClusterShape, everyMs: number, signal: AbortSignal): Promise<number> {
    let changes = 0
    while (!signal.aborted) {
      await this.apply(shape, 100 + (++changes % 50))
      await sleep(everyMs)
    }
    return changes
  }

  close(): Promise<void> {
    return this.#transport.close()
  }
}
