import { keyOf, type ObjectKey, type StoredObject } from '../../../../operator/kube/objects.ts'
import type { Reflector } from '../../../../operator/kube/reflector.ts'
import type { Change } from '../../../../operator/kube/store.ts'

/** What tells two states of the world apart: UID and resourceVersion of each object. */
export type Versions = Map<ObjectKey, string>

export const versionOf = ({ metadata }: StoredObject): string => `${metadata.uid} ${metadata.resourceVersion}`

export function versionsOf(objects: readonly StoredObject[]): Versions {
  return new Map(objects.map((object) => [keyOf(object), versionOf(object)]))
}

/** How many objects `seen` has another version of than `truth`, or only one of them has. */
export function differences(truth: Versions, seen: Versions): number {
  const keys = new Set([...truth.keys(), ...seen.keys()])
  return [...keys].filter((key) => truth.get(key) !== seen.get(key)).length
}

/** A consumer that knows only what its handler was told, and notes whatever makes no sense. */
export class Witness {
  readonly mirror: Versions = new Map()
  readonly nonsense: string[] = []
  heard = 0
  readonly #known = new Map<ObjectKey, StoredObject>()

  constructor(reflector: Pick<Reflector<StoredObject>, 'subscribe'>) {
    reflector.subscribe((change) => this.#hear(change))
  }

  #hear(change: Change<StoredObject>): void {
    this.heard += 1
    const { type, object } = change
    const key = keyOf(object)
    const known = this.#known.get(key)
    if (type === 'added' && known) this.#note(`${key} was added twice`)
    if (type !== 'added' && known?.metadata.uid !== object.metadata.uid) this.#note(`${key} was ${type} and is another`)
    if (type === 'updated' && versionNumber(object) <= versionNumber(known)) this.#note(`${key} went back in time`)
    if (type === 'deleted') {
      this.#known.delete(key)
      this.mirror.delete(key)
    } else {
      this.#known.set(key, object)
      this.mirror.set(key, versionOf(object))
    }
  }

  #note(what: string): void {
    this.nonsense.push(what)
  }
}

/** Versions of one resource may be compared (Kubernetes, KEP-5504). */
const versionNumber = (object: StoredObject | undefined): bigint => BigInt(object?.metadata.resourceVersion ?? 0)
