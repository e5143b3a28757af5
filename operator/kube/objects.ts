/** One owner of an object, as Kubernetes stores it. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/**
 * metadata of an object read from the API server. Times are strings: objects are raw JSON here, never the generated
 * classes, which turn times into Dates, drop fields they do not know and cost seven times the CPU (measured).
 */
export interface StoredMeta {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly namespace?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
}

/** Any object read from the API server. */
export interface StoredObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: StoredMeta
}

/** What can be applied: a manifest of our own builders or of the client-node types. Name and namespace are checked. */
export interface Manifest {
  readonly apiVersion?: string | undefined
  readonly kind?: string | undefined
  readonly metadata?: { readonly name?: string | undefined; readonly namespace?: string | undefined } | undefined
}

/** A page or the whole of a collection. */
export interface ObjectList<T extends StoredObject> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly T[]
}

/** `namespace/name`, or `name` of a cluster-scoped object: what queues and stores are keyed by. */
export type ObjectKey = string

export function objectKey(namespace: string | undefined, name: string): ObjectKey {
  return namespace ? `${namespace}/${name}` : name
}

export function keyOf(object: {
  readonly metadata: { readonly name: string; readonly namespace?: string }
}): ObjectKey {
  return objectKey(object.metadata.namespace, object.metadata.name)
}

/** The inverse of `objectKey`. */
export function splitKey(key: ObjectKey): { readonly namespace: string | undefined; readonly name: string } {
  const slash = key.indexOf('/')
  if (slash < 0) return { namespace: undefined, name: key }
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

/** The owner that manages this object (`controller: true`); an object has at most one. */
export function controllerOf(object: StoredObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true)
}
