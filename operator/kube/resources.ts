/** Names one kind of object in the API, as in `kubectl api-resources`. `group` is '' for the core group. */
export interface Resource {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
}

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): Resource {
  return { group, version, plural, kind, namespaced }
}

export const shardClusters = resource('shardcluster.dev', 'v1alpha1', 'shardclusters', 'ShardCluster')
export const statefulSets = resource('apps', 'v1', 'statefulsets', 'StatefulSet')
export const pods = resource('', 'v1', 'pods', 'Pod')
export const services = resource('', 'v1', 'services', 'Service')
export const secrets = resource('', 'v1', 'secrets', 'Secret')
export const configMaps = resource('', 'v1', 'configmaps', 'ConfigMap')
export const namespaces = resource('', 'v1', 'namespaces', 'Namespace', false)
export const podDisruptionBudgets = resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget')
export const leases = resource('coordination.k8s.io', 'v1', 'leases', 'Lease')
export const events = resource('events.k8s.io', 'v1', 'events', 'Event')

/** The `apiVersion` of the resource's objects. */
export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`
}

/** What a path points at. `namespace` undefined: the collection in all namespaces. */
export interface Target {
  readonly namespace?: string | undefined
  readonly name?: string
  readonly subresource?: 'status'
}

/** URL path of a collection, an object or a subresource. Throws when an object of a namespaced kind lacks its namespace. */
export function pathOf(resource: Resource, { namespace, name, subresource }: Target): string {
  if (resource.namespaced && name !== undefined && !namespace) {
    throw new TypeError(`${resource.kind} "${name}" needs a namespace: it is a namespaced kind`)
  }
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const scope = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`
  return `${root}${scope}/${resource.plural}${object}${subresource ? `/${subresource}` : ''}`
}
