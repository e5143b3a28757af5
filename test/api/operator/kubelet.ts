import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { ObjectClient } from '../../../operator/kube/apply.ts'
import { controllerOf, keyOf, type StoredObject } from '../../../operator/kube/objects.ts'
import { pods, secrets, statefulSets } from '../../../operator/kube/resources.ts'
import { MANAGED_BY } from '../../../operator/manifests/names.ts'
import type { PodObject, SecretObject } from '../../../operator/reconcile/objects.ts'
import type { WorkerState } from '../../support/worker/worker.ts'
import type { PodFiles, PodWorker, StartPod } from './pod-worker.ts'

interface Template {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations: Record<string, string> }
  readonly spec: PodSpec
}
interface PodSpec {
  readonly containers: readonly {
    readonly name: string
    readonly image: string
    readonly env: readonly { readonly name: string; readonly value?: string }[]
  }[]
  readonly volumes: readonly { readonly projected?: { readonly sources: readonly Source[] } }[]
}
interface Source {
  readonly secret: { readonly name: string; readonly items: readonly { readonly key: string; readonly path: string }[] }
}
type Pod = Omit<PodObject, 'spec'> & { readonly spec: PodSpec }
type StatefulSet = StoredObject & {
  readonly spec: { readonly replicas: number; readonly template: Template }
  readonly status?: { readonly observedGeneration?: number }
}

/** What a pod keeps while its containers come and go. */
interface Kept {
  readonly host: string
  readonly state: WorkerState
  restarts: number
  /** The container ended, and its back-off has not. */
  away: boolean
}

interface Running<W> {
  readonly worker: W
  readonly pod: Pod
  readonly files: PodFiles
}

/** What the StatefulSet controller and the kubelets are elsewhere: pods come and go, and a worker runs in each. */
export class TestKubelet<W extends PodWorker> {
  /** Workers that run, by `namespace/pod`. */
  readonly workers = new Map<string, W>()
  /** What each pod held when a smaller StatefulSet took it away. */
  readonly removed: { readonly pod: string; readonly held: readonly number[] }[] = []
  /** Pods for which it is true wait for a node. */
  unschedulable: (podName: string) => boolean = () => false
  /** A kubelet writes a changed Secret into its volumes up to two minutes later; true: not yet. */
  volumesLag = false
  readonly #client: ObjectClient
  readonly #startPod: StartPod<W>
  readonly #running = new Map<string, Running<W>>()
  readonly #kept = new Map<string, Kept>()
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #addresses = 0

  constructor(client: ObjectClient, startPod: StartPod<W>) {
    this.#client = client
    this.#startPod = startPod
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    await Promise.all([...this.#running.values()].map(({ worker }) => worker.crash()))
  }

  /** What is mounted in the pods of a namespace that run. */
  files(namespace: string): readonly PodFiles[] {
    return [...this.#running.values()]
      .filter(({ pod }) => pod.metadata.namespace === namespace)
      .map(({ files }) => files)
  }

  /** The container of `namespace/pod` ends without a word. @returns what has it started again. */
  async kill(key: string): Promise<() => void> {
    const [uid, running] = [...this.#running].find(([, { pod }]) => keyOf(pod) === key) ?? []
    const kept = uid === undefined ? undefined : this.#kept.get(uid)
    if (!uid || !running || !kept) throw new Error(`no container runs in ${key}`)
    kept.away = true
    this.#forget(uid, running)
    await running.worker.crash()
    await this.#say(running.pod, statusOf(running.pod, kept, { terminated: { exitCode: 137, reason: 'Error' } }))
    return () => {
      kept.away = false
      kept.restarts++
    }
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // An object may change between its list and a write: the next round sees it as it is.
      await this.#round().catch((error: unknown) => {
        if (process.env['TEST_LOG_LEVEL']) process.stderr.write(`kubelet: ${error}\n`)
      })
      await delay(100)
    }
  }

  async #round(): Promise<void> {
    const labelSelector = `app.kubernetes.io/managed-by=${MANAGED_BY['app.kubernetes.io/managed-by']}`
    const sets = (await this.#client.list<StatefulSet>(statefulSets, { labelSelector })).items
    const present = (await this.#client.list<Pod>(pods, { labelSelector })).items
    for (const [uid, running] of this.#running) {
      if (present.some(({ metadata }) => metadata.uid === uid)) continue
      this.#forget(uid, running)
      await running.worker.crash()
    }
    for (const uid of this.#kept.keys())
      if (!present.some(({ metadata }) => metadata.uid === uid)) this.#kept.delete(uid)
    for (const set of sets) await this.#observe(set)
    for (const set of sets) await this.#fill(set, present)
    for (const pod of present) await this.#look(pod, sets)
  }

  /** What the StatefulSet controller says of a template that it has taken in. */
  async #observe({ metadata: { name, namespace, generation = 0 }, spec, status }: StatefulSet): Promise<void> {
    if (status?.observedGeneration === generation) return
    const { replicas, template } = spec
    const updated = { observedGeneration: generation, replicas, updateRevision: revisionOf(name, template) }
    await this.#client.applyStatus(statefulSets, { metadata: { name, namespace }, ...{ status: updated } })
  }

  async #fill(set: StatefulSet, present: readonly Pod[]): Promise<void> {
    const { name, namespace, uid } = set.metadata
    const { template } = set.spec
    for (let ordinal = 0; ordinal < set.spec.replicas; ordinal++) {
      const podName = `${name}-${ordinal}`
      if (present.some(({ metadata }) => metadata.namespace === namespace && metadata.name === podName)) continue
      const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid, controller: true }
      const labels = { ...template.metadata.labels, 'controller-revision-hash': revisionOf(name, template) }
      const metadata = { ...template.metadata, labels, name: podName, namespace, ownerReferences: [owner] }
      await this.#client.apply(pods, { metadata, ...{ spec: template.spec } })
    }
  }

  async #look(pod: Pod, sets: readonly StatefulSet[]): Promise<void> {
    const set = sets.find(({ metadata }) => metadata.uid === controllerOf(pod)?.uid)
    const ordinal = Number(/\d+$/.exec(pod.metadata.name)?.[0])
    const running = this.#running.get(pod.metadata.uid)
    if (!set || ordinal >= set.spec.replicas) return this.#remove(pod, running, set !== undefined)
    if (running && !this.volumesLag) {
      await this.#mount(running.pod, running.files)
      running.worker.mounted?.()
    }
    if (!running && !this.#kept.get(pod.metadata.uid)?.away) await this.#start(pod, ordinal)
  }

  async #remove({ metadata }: Pod, running: Running<W> | undefined, smaller: boolean): Promise<void> {
    if (smaller) this.removed.push({ pod: metadata.name, held: (await running?.worker.held()) ?? [] })
    if (running) this.#forget(metadata.uid, running)
    await running?.worker.drain()
    await this.#client.delete(pods, metadata, { uid: metadata.uid })
  }

  async #start(pod: Pod, ordinal: number): Promise<void> {
    const { name, namespace, uid } = pod.metadata
    const [container] = pod.spec.containers
    if (!container) throw new Error(`pod ${name} has no container`)
    if (this.unschedulable(name)) {
      const message = '0/3 nodes are available: 3 Insufficient cpu.'
      const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }
      return this.#say(pod, { phase: 'Pending', conditions: [condition] })
    }
    const files: PodFiles = new Map()
    await this.#mount(pod, files)
    const kept = this.#kept.get(uid) ?? newPod(address(++this.#addresses))
    this.#kept.set(uid, kept)
    const { host, state } = kept
    const environment = Object.fromEntries(container.env.map((one) => [one.name, one.value ?? name]))
    const worker = await this.#startPod({ name, ordinal, host, files, environment, state })
    this.#running.set(uid, { worker, pod, files })
    this.workers.set(`${namespace}/${name}`, worker)
    await this.#say(pod, statusOf(pod, kept, { running: { startedAt: new Date().toISOString().replace(/\.\d+/, '') } }))
  }

  #forget(uid: string, { pod, worker }: Running<W>): void {
    this.#running.delete(uid)
    if (this.workers.get(keyOf(pod)) === worker) this.workers.delete(keyOf(pod))
  }

  async #say({ metadata: { name, namespace } }: Pod, status: object): Promise<void> {
    await this.#client.applyStatus(pods, { metadata: { name, namespace }, ...{ status } })
  }

  /** Fails, as a kubelet does, when a Secret or key is missing. */
  async #mount({ metadata: { namespace }, spec }: Pod, files: PodFiles): Promise<void> {
    for (const { secret } of spec.volumes.flatMap((volume) => volume.projected?.sources ?? [])) {
      const found = await this.#client.get<SecretObject>(secrets, { namespace, name: secret.name })
      for (const { key, path } of secret.items) {
        const value = found?.data?.[key]
        if (value === undefined) throw new Error(`MountVolume: no ${key} in Secret ${secret.name}`)
        files.set(path, Buffer.from(value, 'base64').toString())
      }
    }
  }
}

const newPod = (host: string): Kept => ({ host, state: { sessions: [], endedAt: 0 }, restarts: 0, away: false })

/** Of a pod whose one container is in `state`. */
function statusOf(
  { spec }: Pod,
  { host, restarts: restartCount }: Kept,
  state: { running?: object; terminated?: object },
) {
  const { name = '', image = '' } = spec.containers[0] ?? {}
  const ready = state.running !== undefined
  const container = { name, image, imageID: '', ready, started: ready, restartCount, state }
  return { phase: 'Running', podIP: host, podIPs: [{ ip: host }], containerStatuses: [container] }
}

const revisionOf = (set: string, template: Template): string =>
  `${set}-${createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10)}`

/** All of 127.0.0.0/8 is this machine; the middle is this process' own, so that test runs do not meet. */
function address(count: number): string {
  const own = process.pid % (250 * 256)
  return `127.${1 + Math.floor(own / 256)}.${own % 256}.${1 + (count % 250)}`
}
