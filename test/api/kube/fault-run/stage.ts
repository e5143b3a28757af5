import { expect } from 'vitest'
import type { StoredObject } from '../../../../operator/kube/objects.ts'
import type { Reflector } from '../../../../operator/kube/reflector.ts'
import type { Random } from '../../../support/random.ts'
import { eventually } from '../world.ts'
import { clumsyController } from './clumsy.ts'
import type { Rig } from './rig.ts'
import { differences, type Versions, versionsOf, Witness } from './witness.ts'
import { KINDS, type Writer } from './writer.ts'

/** Everything that runs in a fault run, and what must hold after each fault. */
export class Stage {
  readonly thrown: { readonly reconciles: number; readonly handlers: number }
  readonly rejections: unknown[] = []
  readonly #rig: Rig
  readonly #writer: Writer
  readonly #watching: readonly { plural: string; reflector: Reflector<StoredObject>; witness: Witness }[]
  readonly #reconciled: Versions
  readonly #stop = new AbortController()
  readonly #running: readonly Promise<void>[]
  readonly #onRejection = (reason: unknown) => void this.rejections.push(reason)

  constructor(rig: Rig, writer: Writer, random: Random) {
    this.#rig = rig
    this.#writer = writer
    const { clusters, statefulSets, pods, services, budgets } = rig.caches
    // In the order of KINDS; one namespace selection, so one reflector each.
    const reflectors = [clusters, statefulSets, pods, services, budgets].flatMap(
      (collection) => collection.reflectors as unknown as readonly Reflector<StoredObject>[],
    )
    this.#watching = reflectors.map((reflector, index) => {
      const plural = KINDS[index]?.resource.plural ?? ''
      return { plural, reflector, witness: new Witness(reflector) }
    })
    const { controller, reconciled, thrown } = clumsyController(
      rig.caches.clusters.reflectors[0] as Reflector<StoredObject>,
      rig.metrics,
      random,
    )
    this.#reconciled = reconciled
    this.thrown = thrown
    process.on('unhandledRejection', this.#onRejection)
    this.#running = [rig.caches.run(this.#stop.signal), controller.run(this.#stop.signal)]
  }

  get heard(): number {
    return this.#watching.reduce((sum, { witness }) => sum + witness.heard, 0)
  }

  /** What handlers were told that made no sense. */
  get nonsense(): string[] {
    return this.#watching.flatMap(({ witness }) => witness.nonsense)
  }

  /** Objects of which a handler, a store or the controller has another version than the API server. */
  missed(): number {
    return this.#watching.reduce(
      (sum, { plural, reflector, witness }) => {
        const truth = this.#truthOf(plural)
        return sum + differences(truth, witness.mirror) + differences(truth, versionsOf(reflector.store.list()))
      },
      differences(this.#truthOf('shardclusters'), this.#reconciled),
    )
  }

  /** Waits until nothing is missed and each resource is watched once, as the proxy sees it. */
  async settled(after: string): Promise<void> {
    await eventually(() => {
      const open = KINDS.map(({ resource }) => this.#rig.http.watches(resource.plural).length)
      expect({ after, missed: this.missed(), open }).toEqual({ after, missed: 0, open: [1, 1, 1, 1, 1] })
    })
  }

  /** Waits until what the API server lists is what the writer believes. */
  async agreesWithTheServer(): Promise<void> {
    for (const { resource } of KINDS) {
      const { items } = await this.#rig.direct.list(resource, { labelSelector: 'app.kubernetes.io/managed-by' })
      expect(differences(versionsOf(items), this.#truthOf(resource.plural)), resource.plural).toBe(0)
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
    process.off('unhandledRejection', this.#onRejection)
  }

  #truthOf(plural: string): Versions {
    return this.#writer.truth.get(plural) ?? new Map()
  }
}
