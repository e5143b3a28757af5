import type { ObjectClient } from '../../../../operator/kube/apply.ts'
import { objectKey, type StoredObject } from '../../../../operator/kube/objects.ts'
import {
  podDisruptionBudgets,
  pods,
  type Resource,
  services,
  shardClusters,
  statefulSets,
} from '../../../../operator/kube/resources.ts'
import { MANAGED_BY } from '../../../../operator/manifests/names.ts'
import { manifest } from '../../crd-server.ts'
import { type Versions, versionOf } from './witness.ts'

const selector = { matchLabels: { app: 'x' } }
const podSpec = { containers: [{ name: 'c', image: 'x' }] }

/** What the operator watches, and the least that the API server takes as such a thing. */
export const KINDS: readonly { readonly resource: Resource; readonly spec: object }[] = [
  { resource: shardClusters, spec: manifest('x').spec },
  {
    resource: statefulSets,
    spec: { serviceName: 'x', selector, template: { metadata: { labels: { app: 'x' } }, spec: podSpec } },
  },
  { resource: pods, spec: podSpec },
  { resource: services, spec: { clusterIP: 'None', ports: [{ port: 80 }] } },
  { resource: podDisruptionBudgets, spec: { maxUnavailable: 1, selector } },
]

/** Few names, so that objects are deleted and made again all the time. */
const NAMES = 12
const DELETIONS = 0.3

/** Creates, changes and deletes objects at random, and knows what is there: nobody else writes. */
export class Writer {
  readonly truth = new Map<string, Versions>(KINDS.map(({ resource }) => [resource.plural, new Map()]))
  writes = 0
  readonly #client: ObjectClient
  readonly #namespace: string
  readonly #random: () => number

  constructor(client: ObjectClient, namespace: string, random: () => number) {
    this.#client = client
    this.#namespace = namespace
    this.#random = random
  }

  async write(count: number): Promise<void> {
    for (let times = 0; times < count; times += 1) await this.writeOne()
  }

  /** Of a resource, or of any. */
  async writeOne(plural?: string): Promise<void> {
    const chosen = KINDS.find(({ resource }) => resource.plural === plural)
    const { resource, spec } = chosen ?? (KINDS[Math.floor(this.#random() * KINDS.length)] as (typeof KINDS)[number])
    const namespace = this.#namespace
    const name = `x-${Math.floor(this.#random() * NAMES)}`
    const versions = this.truth.get(resource.plural) as Versions
    const key = objectKey(namespace, name)
    this.writes += 1
    if (versions.has(key) && this.#random() < DELETIONS) {
      await this.#client.delete(resource, { namespace, name }, { gracePeriodSeconds: 0 })
      versions.delete(key)
      return
    }
    const annotations = { 'test/value': String(this.writes) }
    const metadata = { namespace, name, ...{ labels: MANAGED_BY, annotations } }
    versions.set(key, versionOf(await this.#client.apply<StoredObject>(resource, { metadata, ...{ spec } })))
  }
}
