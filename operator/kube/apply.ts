import type { Transport } from './call.ts'
import { ConflictError, NotFoundError } from './errors.ts'
import type { Manifest, ObjectList, StoredObject } from './objects.ts'
import { apiVersionOf, pathOf, type Resource } from './resources.ts'

/** Objects per page of a list, as client-go. */
const PAGE_SIZE = 500

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}

export interface ObjectName {
  /** undefined for cluster-scoped kinds. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface Selection {
  /** undefined: all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface ApplyOptions extends CallOptions {
  /** Take fields that another manager owns. Default true: what we render is ours (controller-runtime: ForceOwnership). */
  readonly force?: boolean
}

/** Delete exactly what was observed: an object of the same name that came later is left alone. */
export interface DeleteOptions extends CallOptions {
  readonly uid?: string
  readonly resourceVersion?: string
  /** Seconds; default: the object's own. */
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
}

/** `changed`: a precondition did not hold, the object is not the one that was observed; nothing was deleted. */
export type DeleteOutcome = 'deleted' | 'absent' | 'changed'

/**
 * Reads and writes single objects. Every write is a server-side apply: create and update in one idempotent call, and
 * fields of other managers stay theirs.
 */
export class ObjectClient {
  readonly #transport: Transport
  readonly #fieldManager: string

  /** `fieldManager`: the name our fields are owned under, see `kubectl get --show-managed-fields`. */
  constructor(transport: Transport, fieldManager: string) {
    this.#transport = transport
    this.#fieldManager = fieldManager
  }

  /** The object, or undefined when there is none of this name (or no such namespace). */
  async get<T extends StoredObject>(
    resource: Resource,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.#transport.request<T>({ method: 'GET', path: pathOf(resource, name), ...options })
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  /** All objects that match, page by page; `metadata.resourceVersion` is where a watch would start. */
  async list<T extends StoredObject>(
    resource: Resource,
    selection: Selection,
    options: CallOptions = {},
  ): Promise<ObjectList<T>> {
    return listAll<T>(this.#transport, resource, selection, options)
  }

  /** Creates or updates: the fields of `manifest` become what it says. Answers the stored object. */
  apply<T extends StoredObject>(resource: Resource, manifest: Manifest, options: ApplyOptions = {}): Promise<T> {
    return this.#patch<T>(resource, manifest, undefined, options)
  }

  /** Applies `status` only; the server ignores the rest. NotFoundError when the object does not exist. */
  applyStatus<T extends StoredObject>(resource: Resource, manifest: Manifest, options: ApplyOptions = {}): Promise<T> {
    return this.#patch<T>(resource, manifest, 'status', options)
  }

  async delete(resource: Resource, name: ObjectName, options: DeleteOptions = {}): Promise<DeleteOutcome> {
    const { uid, resourceVersion, gracePeriodSeconds, propagationPolicy, ...callOptions } = options
    const preconditions = uid || resourceVersion ? { uid, resourceVersion } : undefined
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions, gracePeriodSeconds, propagationPolicy }
    try {
      await this.#transport.request({ method: 'DELETE', path: pathOf(resource, name), body, ...callOptions })
      return 'deleted'
    } catch (error) {
      if (error instanceof NotFoundError) return 'absent'
      if (error instanceof ConflictError && preconditions) return 'changed'
      throw error
    }
  }

  #patch<T>(
    resource: Resource,
    manifest: Manifest,
    subresource: 'status' | undefined,
    { force = true, ...options }: ApplyOptions,
  ): Promise<T> {
    const { name, namespace } = manifest.metadata ?? {}
    if (!name) throw new TypeError(`a ${resource.kind} to apply needs metadata.name`)
    return this.#transport.request<T>({
      method: 'PATCH',
      path: pathOf(resource, { namespace, name, ...(subresource ? { subresource } : {}) }),
      query: { fieldManager: this.#fieldManager, force, fieldValidation: 'Strict' },
      body: { ...manifest, apiVersion: apiVersionOf(resource), kind: resource.kind },
      contentType: 'application/apply-patch+yaml',
      ...options,
    })
  }
}

/**
 * The whole collection in pages. The first page is a consistent read. ExpiredError when the list took longer than
 * the server keeps its snapshot.
 */
export async function listAll<T extends StoredObject>(
  transport: Transport,
  resource: Resource,
  { namespace, labelSelector, fieldSelector }: Selection,
  options: CallOptions & { readonly pageSize?: number } = {},
): Promise<ObjectList<T>> {
  const { pageSize = PAGE_SIZE, ...callOptions } = options
  const items: T[] = []
  const path = pathOf(resource, { namespace })
  for (let token: string | undefined; ; ) {
    const query = { labelSelector, fieldSelector, limit: pageSize || undefined, continue: token }
    const page = await transport.request<ObjectList<T>>({ method: 'GET', path, query, ...callOptions })
    items.push(...page.items)
    token = page.metadata.continue || undefined
    if (token === undefined) return { metadata: { resourceVersion: page.metadata.resourceVersion }, items }
  }
}
