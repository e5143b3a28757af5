import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parse } from 'yaml'
import type { ShardClusterManifest } from '../../src/api/shard-cluster.ts'
import type { Cluster } from '../support/cluster/cluster.ts'
import { NodeShell } from '../support/cluster/node-shell.ts'
import {
  type BotEndStats,
  controlSimulator,
  nameImage,
  type Place,
  RELEASE_IMAGE,
  restartSilences,
  sampleBotStats,
  simulatorStats,
  type TrialStats,
} from '../support/cluster/trial.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const POLL = { timeout: 120_000, interval: 1_000 }

export const SHARDS = 30
/** Events a second over all shards: one in a tenth of a second for each. */
export const RATE = 300

/** What both ends have counted at one moment. */
export interface Counted {
  readonly discord: TrialStats
  readonly bot: BotEndStats
}

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly spec: { readonly nodeName: string; readonly containers: readonly { readonly image: string }[] }
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean
      readonly restartCount: number
      readonly containerID?: string
    }[]
  }
}

/** A release and a ShardCluster in a namespace of their own, with traffic flowing, and what can be done to them. */
export class SessionsTrial {
  readonly #cluster: Cluster
  readonly #image: string
  readonly #place: Place
  /** From outside its containers. */
  readonly nodes: NodeShell

  /** @param place Its namespace is made for it, and goes with it. */
  constructor(cluster: Cluster, image: string, place: Place) {
    this.#cluster = cluster
    this.#image = image
    this.#place = place
    this.nodes = new NodeShell(cluster, nodesNamespace(place), image)
  }

  /** The namespace, which takes nothing but what Pod Security calls restricted. */
  async prepare(): Promise<void> {
    await this.#cluster.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(namespaces(this.#place)) })
  }

  /** Discord, REST proxy and bot end, so many operators, and the ShardCluster. */
  async install({ replicas = 1, change = (cluster: ShardClusterManifest) => cluster } = {}): Promise<void> {
    await nameImage(this.#cluster, this.#image)
    await this.prepare()
    const [repository, tag] = this.#image.split(':')
    const place = this.#place
    const values = {
      replicas,
      fullnameOverride: place.fullname,
      // Another release may be in this cluster.
      watchNamespaces: [place.namespace],
      crds: { enabled: false },
      image: { repository, tag },
      restProxy: { enabled: true },
      sampleBot: { enabled: true },
      simulator: { enabled: true, eventsPerSecond: RATE, maxConcurrency: 16 },
    }
    const args = ['upgrade', '--install', place.fullname, join(ROOT, 'charts/shardcluster'), '--values', '-']
    const here = ['--namespace', place.namespace, '--wait', '--timeout', '5m']
    await this.#cluster.helm([...args, ...here], { input: JSON.stringify(values), timeoutMs: 330_000 })
    await this.#kubectl(['apply', '--filename', '-'], JSON.stringify(change(manifest(place))))
    await this.nodes.start()
  }

  /** Nothing is left but the CRD, which another release may need. */
  async remove(): Promise<void> {
    await this.#kubectl(['delete', 'shardclusters', '--all'])
    const { fullname, namespace } = this.#place
    const uninstall = ['uninstall', fullname, '--namespace', namespace, '--ignore-not-found']
    await this.#cluster.helm(uninstall, { timeoutMs: 120_000 })
    const both = ['delete', 'namespace', namespace, nodesNamespace(this.#place), '--ignore-not-found']
    await this.#cluster.kubectl(both, { timeoutMs: 120_000 })
  }

  /**
   * ShardClusters whose Secret holds two lines where a token or a key belongs: each is refused in words. They start nothing,
   * and stay, so that everything they were shown in can be looked through.
   */
  async misuseSecrets(): Promise<void> {
    const stringData = { key: 'line-1-of-a-private-key\nline-2-of-a-private-key' }
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'ill-formed' }, stringData }
    await this.#kubectl(['apply', '--filename', '-'], JSON.stringify(secret))
    const ref = { name: 'ill-formed', key: 'key' }
    for (const field of ['token', 'rest'] as const) {
      const cluster = manifest(this.#place)
      cluster.metadata.name = `ill-formed-${field}`
      if (field === 'token') cluster.spec.tokenSecretRef = ref
      else cluster.spec.rest.authorizationSecretRef = ref
      await this.#kubectl(['apply', '--filename', '-'], JSON.stringify(cluster))
      const condition = '{.status.conditions[?(@.type=="Stalled")].reason}=SecretInvalid'
      await this.#kubectl(['wait', `--for=jsonpath=${condition}`, `shc/${cluster.metadata.name}`, '--timeout=60s'])
    }
  }

  scale(replicas: number): Promise<string> {
    return this.#kubectl(['scale', 'shardcluster/bot', `--replicas=${replicas}`])
  }

  /** The same image by its other name: for Kubernetes another one. */
  async renameImage(): Promise<string> {
    const [pod] = await this.pods()
    const image = pod?.spec.containers[0]?.image === RELEASE_IMAGE ? this.#image : RELEASE_IMAGE
    await this.patch({ worker: { image } })
    return image
  }

  /** Merges a change into the spec of the ShardCluster. */
  async patch(spec: object): Promise<void> {
    await this.#kubectl(['patch', 'shardcluster/bot', '--type=merge', '-p', JSON.stringify({ spec })])
  }

  /** Who holds the Lease of an operator, and since when; undefined while nobody does. */
  async leader(): Promise<string | undefined> {
    const path = 'jsonpath={range .items[*]}{.spec.holderIdentity} {.spec.leaseTransitions}{"\\n"}{end}'
    const holders = (await this.#kubectl(['get', 'leases', '--output', path])).split('\n')
    return holders.find((line) => /^\S+ \d+$/.test(line))
  }

  async deletePod(ordinal: number): Promise<Pod> {
    const pod = await this.pod(ordinal)
    await this.#kubectl(['delete', 'pod', pod.metadata.name, '--grace-period=0', '--force'])
    return pod
  }

  /** kill -9 of a sharder. */
  async killSharder(ordinal: number): Promise<void> {
    await this.#kill(await this.pod(ordinal))
  }

  /**
   * The operator as it ends with its node: kill -9, so that it hands nothing over and its Lease has to run out, and its
   * pod is gone too.
   */
  async killOperator(): Promise<void> {
    for (const pod of await this.#podsOf('app.kubernetes.io/component=operator')) {
      await this.#kill(pod)
      await this.#kubectl(['delete', 'pod', pod.metadata.name, '--grace-period=0', '--force'])
    }
  }

  pods(): Promise<Pod[]> {
    return this.#podsOf('shardcluster.dev/cluster=bot')
  }

  async pod(ordinal: number): Promise<Pod> {
    const pod = (await this.pods()).find(({ metadata }) => metadata.name.endsWith(`-${ordinal}`))
    if (!pod) throw new Error(`there is no worker ${ordinal}`)
    return pod
  }

  async restarts(ordinal: number): Promise<number> {
    return (await this.pod(ordinal)).status.containerStatuses?.[0]?.restartCount ?? 0
  }

  /** Waits until so many workers hold every shard, and both Kubernetes and Discord say so. */
  async settled(workers: number): Promise<void> {
    await expect.poll(async () => (await this.pods()).length, POLL).toBe(workers)
    const ready = (path: string, value: string) =>
      this.#kubectl(['wait', `--for=jsonpath=${path}=${value}`, 'shardcluster/bot', '--timeout=120s'])
    await ready('{.status.readyWorkers}', String(workers))
    await ready('{.status.shards}', `${SHARDS}/${SHARDS}`)
    await ready('{.status.conditions[?(@.type=="Ready")].status}', 'True')
    await expect.poll(async () => (await this.#discord()).connectedShards, POLL).toBe(SHARDS)
  }

  /** Waits until so many shards have come back since, by RESUME or, which would be a fault, by IDENTIFY. */
  async cameBack(shards: number, { discord: before }: Counted): Promise<void> {
    const since = async () => {
      const { resumes, identifies } = await this.#discord()
      return resumes - before.resumes + identifies - before.identifies
    }
    await expect.poll(since, POLL).toBeGreaterThanOrEqual(shards)
  }

  /** Figures of a step begin here. */
  async begin(): Promise<Counted> {
    await restartSilences(this.#cluster, this.#place)
    return this.counted()
  }

  async counted(): Promise<Counted> {
    const [discord, bot] = await Promise.all([this.#discord(), sampleBotStats(this.#cluster, this.#place)])
    return { discord, bot }
  }

  /** Lets traffic rest until the bot has the last sequence of every session, and flow again. */
  async deliveredToTheLast(): Promise<Counted> {
    await controlSimulator(this.#cluster, this.#place, 'events-per-second', { value: 0 })
    const behind = async () => {
      const { discord, bot } = await this.counted()
      const rows = Object.entries(discord.bots[0]?.shards ?? {})
      expect(rows).toHaveLength(SHARDS)
      return rows.filter(([key, { sessionId, sequences }]) => {
        const last = sequences[String(sessionId)]
        return bot.shards[key.split('/')[0] ?? '']?.sequence !== last
      })
    }
    await expect.poll(behind, { timeout: 30_000, interval: 500 }).toEqual([])
    const counted = await this.counted()
    await controlSimulator(this.#cluster, this.#place, 'events-per-second', { value: RATE })
    return counted
  }

  async #podsOf(selector: string): Promise<Pod[]> {
    const answer = await this.#kubectl(['get', 'pods', '-l', selector, '-o', 'json'])
    return (JSON.parse(answer) as { items: Pod[] }).items.filter(({ metadata }) => !metadata.deletionTimestamp)
  }

  async #kill({ metadata, spec, status }: Pod): Promise<void> {
    const id = status.containerStatuses?.[0]?.containerID?.replace(/^.*:\/\//, '')
    if (!id) throw new Error(`${metadata.name} has no container`)
    await this.nodes.kill(spec.nodeName, id)
  }

  #discord(): Promise<TrialStats> {
    return simulatorStats(this.#cluster, this.#place)
  }

  #kubectl(args: readonly string[], input?: string): Promise<string> {
    const options = { timeoutMs: 130_000, ...(input === undefined ? {} : { input }) }
    return this.#cluster.kubectl(['--namespace', this.#place.namespace, ...args], options)
  }
}

/** The sample of the trial, beside this release. */
export function manifest({ fullname }: Place): ShardClusterManifest {
  const text = readFileSync(join(ROOT, 'crds/samples/simulator.yaml'), 'utf8')
  return parse(text.replaceAll(/shardcluster-(trial|rest-proxy|sample-bot|simulator)/g, `${fullname}-$1`))
}

/** The shells look into other processes: no namespace of a ShardCluster would take them. */
const nodesNamespace = ({ namespace }: Place): string => `${namespace}-nodes`

const namespaces = (place: Place) => ({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    { name: place.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    { name: nodesNamespace(place), labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
  ].map((metadata) => ({ apiVersion: 'v1', kind: 'Namespace', metadata })),
})
