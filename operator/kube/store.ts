import { controllerOf, keyOf, type ObjectKey, type StoredObject } from './objects.ts'

/** What happened to one object between two states of the store. */
export type Change<T> =
  | { readonly type: 'added'; readonly object: T }
  | { readonly type: 'updated'; readonly object: T; readonly previous: T }
  | { readonly type: 'deleted'; readonly object: T }

/** The read side of a store: what reconciles see. */
export interface StoreReader<T> {
  readonly size: number
  get(key: ObjectKey): T | undefined
  list(): T[]
  /** Objects whose controller (`ownerReferences[controller=true]`) has this UID. */
  childrenOf(ownerUid: string): T[]
  /** Objects that the store's index files under this value; none where it has no index. */
  indexed(value: string): T[]
}

/** What an object is found by besides its name; undefined: it is not filed. */
export type IndexOf<T> = (object: T) => string | undefined

/**
 * The last known state of a collection. A name is not an identity: an object that was deleted and created again
 * between two lists is a deletion and an addition, not an update (client-node's informer reports an update).
 */
export class Store<T extends StoredObject> implements StoreReader<T> {
  readonly #objects = new Map<ObjectKey, T>()
  readonly #children = new Map<string, Set<ObjectKey>>()
  readonly #index = new Map<string, Set<ObjectKey>>()
  readonly #indexOf: IndexOf<T>

  constructor(indexOf: IndexOf<T> = () => undefined) {
    this.#indexOf = indexOf
  }

  get size(): number {
    return this.#objects.size
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(key)
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  childrenOf(ownerUid: string): T[] {
    return this.#all(this.#children.get(ownerUid))
  }

  indexed(value: string): T[] {
    return this.#all(this.#index.get(value))
  }

  /** Takes one added or modified object; an unchanged one (same UID and resourceVersion) is no change. */
  upsert(object: T): Change<T>[] {
    const key = keyOf(object)
    const previous = this.#objects.get(key)
    if (!previous) return [this.#put(key, object)]
    const { uid, resourceVersion } = previous.metadata
    if (uid !== object.metadata.uid) return [this.#drop(key, previous), this.#put(key, object)]
    if (resourceVersion === object.metadata.resourceVersion) return []
    this.#drop(key, previous)
    this.#put(key, object)
    return [{ type: 'updated', object, previous }]
  }

  /** Forgets a deleted object. `object` is its last state as the server told it. */
  remove(object: T): Change<T>[] {
    const key = keyOf(object)
    const known = this.#objects.get(key)
    // A late deletion of an older object of the same name says nothing about the one we hold.
    if (known?.metadata.uid !== object.metadata.uid) return []
    this.#drop(key, known)
    return [{ type: 'deleted', object }]
  }

  /** Becomes exactly `objects`: the result of a list. All changes are visible before the first one is reported. */
  replace(objects: readonly T[]): Change<T>[] {
    const listed = new Set(objects.map(keyOf))
    const gone = [...this.#objects].filter(([key]) => !listed.has(key))
    const deletions = gone.map(([key, object]) => this.#drop(key, object))
    return [...deletions, ...objects.flatMap((object) => this.upsert(object))]
  }

  #put(key: ObjectKey, object: T): Change<T> {
    this.#objects.set(key, object)
    file(this.#children, controllerOf(object)?.uid, key)
    file(this.#index, this.#indexOf(object), key)
    return { type: 'added', object }
  }

  #drop(key: ObjectKey, object: T): Change<T> {
    this.#objects.delete(key)
    unfile(this.#children, controllerOf(object)?.uid, key)
    unfile(this.#index, this.#indexOf(object), key)
    return { type: 'deleted', object }
  }

  #all(keys: Iterable<ObjectKey> = []): T[] {
    return [...keys].flatMap((key) => this.#objects.get(key) ?? [])
  }
}

function file(index: Map<string, Set<ObjectKey>>, value: string | undefined, key: ObjectKey): void {
  if (value === undefined) return
  const filed = index.get(value)
  if (filed) filed.add(key)
  else index.set(value, new Set([key]))
}

function unfile(index: Map<string, Set<ObjectKey>>, value: string | undefined, key: ObjectKey): void {
  const filed = value === undefined ? undefined : index.get(value)
  filed?.delete(key)
  if (value !== undefined && filed?.size === 0) index.delete(value)
}
