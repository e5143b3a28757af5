import { expect, test } from 'vitest'
import { find, names, type Rule, render } from './helm.ts'

/** `group/resource: verbs`, a line a resource. */
const lines = (rules: readonly Rule[] = []) =>
  rules
    .flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.map((resource) => {
          const name = resourceNames ? ` ${resourceNames.join(' ')}` : ''
          return `${group || 'core'}/${resource}${name}: ${[...verbs].sort().join(' ')}`
        }),
      ),
    )
    .sort()

// That it is enough shows test/api/operator/sessions.test.ts, whose operator has these rights and no others; that nothing
// of it is too much, test/api/operator/rights.test.ts, which takes each away.
test('the operator may do this, and nothing else', async () => {
  const objects = await render()
  expect(lines(find(objects, 'ClusterRole', 'shardcluster').rules)).toMatchInlineSnapshot(`
    [
      "apps/statefulsets: create delete get list patch watch",
      "core/pods: delete list watch",
      "core/secrets: create get patch",
      "core/services: create get list patch watch",
      "events.k8s.io/events: create patch",
      "policy/poddisruptionbudgets: create get list patch watch",
      "shardcluster.dev/shardclusters/finalizers: update",
      "shardcluster.dev/shardclusters/status: patch",
      "shardcluster.dev/shardclusters: list watch",
    ]
  `)
  expect(lines(find(objects, 'Role', 'shardcluster-leader-election').rules)).toMatchInlineSnapshot(`
    [
      "coordination.k8s.io/leases shardcluster: get update",
      "coordination.k8s.io/leases: create",
    ]
  `)
})

test('no role has a wildcard, and none lets Secrets be listed', async () => {
  for (const { rules = [] } of await render({ watchNamespaces: ['one'] })) {
    for (const { apiGroups, resources, verbs } of rules) {
      expect([...apiGroups, ...resources, ...verbs]).not.toContain('*')
      if (resources.includes('secrets')) expect(verbs).not.toEqual(expect.arrayContaining(['list']))
    }
  }
})

test('with chosen namespaces the same rights are Roles in just these', async () => {
  const everywhere = find(await render(), 'ClusterRole', 'shardcluster').rules
  const objects = await render({ watchNamespaces: ['one', 'two'] })
  const rbac = names(objects).filter((name) => /Role/.test(name))
  expect(rbac).toEqual([
    'ClusterRole/shardcluster-edit',
    'ClusterRole/shardcluster-view',
    'Role/one/shardcluster',
    'Role/shardcluster-leader-election',
    'Role/two/shardcluster',
    'RoleBinding/one/shardcluster',
    'RoleBinding/shardcluster-leader-election',
    'RoleBinding/two/shardcluster',
  ])
  const roles = objects.filter(({ kind, metadata }) => kind === 'Role' && metadata.name === 'shardcluster')
  expect(roles.map(({ rules }) => rules)).toEqual([everywhere, everywhere])
})

test('every binding is to the ServiceAccount that the pod runs as', async () => {
  const objects = await render({ watchNamespaces: ['one'], serviceAccount: { create: false, name: 'given' } })
  const bindings = objects.filter(({ kind }) => kind.endsWith('Binding'))
  expect(bindings).toHaveLength(2)
  for (const { subjects } of bindings) {
    expect(subjects).toEqual([{ kind: 'ServiceAccount', name: 'given', namespace: 'system' }])
  }
  expect(find(objects, 'Deployment', 'shardcluster').spec?.template?.spec['serviceAccountName']).toBe('given')
  expect(names(objects)).not.toContain('ServiceAccount/given')
})

test('a release without rights on the cluster has no object outside namespaces', async () => {
  const objects = await render({
    watchNamespaces: ['one'],
    crds: { enabled: false },
    rbac: { aggregateClusterRoles: false },
  })
  expect(objects.filter(({ metadata }) => metadata.namespace === undefined)).toEqual([])
})

test('rbac.create=false leaves the rights to somebody else', async () => {
  const objects = await render({ rbac: { create: false, aggregateClusterRoles: false } })
  expect(names(objects).filter((name) => /Role/.test(name))).toEqual([])
})

test('view reads, edit writes and scales, and neither touches the status', async () => {
  const objects = await render()
  const view = find(objects, 'ClusterRole', 'shardcluster-view')
  const edit = find(objects, 'ClusterRole', 'shardcluster-edit')
  const aggregated = ({ metadata }: typeof view) =>
    Object.keys(metadata.labels ?? {}).filter((label) => label.includes('aggregate-to'))
  expect(aggregated(view).map((label) => label.split('-').at(-1))).toEqual(['view', 'edit', 'admin'])
  expect(aggregated(edit).map((label) => label.split('-').at(-1))).toEqual(['edit', 'admin'])
  expect([...lines(view.rules), ...lines(edit.rules)]).toMatchInlineSnapshot(`
    [
      "shardcluster.dev/shardclusters/scale: get",
      "shardcluster.dev/shardclusters/status: get",
      "shardcluster.dev/shardclusters: get list watch",
      "shardcluster.dev/shardclusters/scale: patch update",
      "shardcluster.dev/shardclusters: create delete deletecollection patch update",
    ]
  `)
})
