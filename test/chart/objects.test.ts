import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CHART, EVERYTHING, find, helm, MONITORED, names, pods, type Rendered, render } from './helm.ts'

test('a release is these objects', async () => {
  expect(names(await render())).toMatchInlineSnapshot(`
    [
      "ClusterRole/shardcluster",
      "ClusterRole/shardcluster-edit",
      "ClusterRole/shardcluster-view",
      "ClusterRoleBinding/shardcluster",
      "CustomResourceDefinition/shardclusters.shardcluster.dev",
      "Deployment/shardcluster",
      "NetworkPolicy/shardcluster-operator",
      "NetworkPolicy/shardcluster-workers",
      "Pod/shardcluster-test-ready",
      "Pod/shardcluster-test-rights",
      "Role/shardcluster-leader-election",
      "RoleBinding/shardcluster-leader-election",
      "Service/shardcluster",
      "Service/shardcluster-api",
      "ServiceAccount/shardcluster",
    ]
  `)
})

test('with everything switched on it is these', async () => {
  const plain = names(await render())
  const more = names(await render(MONITORED)).filter((name) => !plain.includes(name))
  expect(more).toMatchInlineSnapshot(`
    [
      "ConfigMap/shardcluster-dashboard",
      "Deployment/shardcluster-rest-proxy",
      "Deployment/shardcluster-sample-bot",
      "Deployment/shardcluster-simulator",
      "NetworkPolicy/shardcluster-rest-proxy",
      "NetworkPolicy/shardcluster-sample-bot",
      "NetworkPolicy/shardcluster-simulator",
      "PodDisruptionBudget/shardcluster-operator",
      "PodMonitor/shardcluster-workers",
      "PrometheusRule/shardcluster",
      "Secret/shardcluster-trial",
      "Service/shardcluster-rest-proxy",
      "Service/shardcluster-sample-bot",
      "Service/shardcluster-simulator",
      "ServiceMonitor/shardcluster",
    ]
  `)
})

describe('on every object', () => {
  test('the labels that Kubernetes recommends, and those that were given', async () => {
    for (const { kind, metadata } of await render({ ...MONITORED, commonLabels: { team: 'gateway' } })) {
      expect(metadata.labels, `${kind}/${metadata.name}`).toMatchObject({
        'app.kubernetes.io/name': 'shardcluster',
        'app.kubernetes.io/instance': 'shardcluster',
        'app.kubernetes.io/version': '0.2.0',
        'app.kubernetes.io/managed-by': 'Helm',
        'helm.sh/chart': 'shardcluster-0.2.0',
        team: 'gateway',
      })
    }
  })

  test('a name of at most 63 characters, however long that of the release is', async () => {
    const objects = await render(MONITORED, 'a-release-with-the-longest-name-that-helm-will-accept')
    for (const { kind, metadata } of objects) {
      if (kind !== 'CustomResourceDefinition') expect(metadata.name.length, metadata.name).toBeLessThanOrEqual(63)
    }
  })

  test('the prefix that was given', async () => {
    const objects = await render({ ...MONITORED, fullnameOverride: 'gateway' })
    const others = objects.filter(({ metadata }) => !/^gateway(-|$)/.test(metadata.name))
    expect(names(others)).toEqual(['CustomResourceDefinition/shardclusters.shardcluster.dev'])
  })
})

describe('selectors', () => {
  const matches = (selector: object, labels: object = {}) =>
    Object.entries(selector).every(([key, value]) => (labels as Record<string, string>)[key] === value)

  test('each Service, PodDisruptionBudget and NetworkPolicy selects the pod of one Deployment', async () => {
    const objects = (await render(EVERYTHING)).filter(({ metadata: { name } }) => !name.endsWith('-workers'))
    const selecting = objects.filter(({ kind }) => /Service$|PodDisruptionBudget|NetworkPolicy/.test(kind))
    expect(selecting).toHaveLength(10)
    for (const object of selecting) {
      const selected = pods(objects).filter(({ metadata }) => matches(selectorOf(object), metadata.labels))
      expect(
        selected.map(({ metadata }) => metadata.name),
        `${object.kind}/${object.metadata.name}`,
      ).toEqual([object.metadata.name.replace(/-(operator|api)$/, '')])
    }
  })

  test('each Service leads to a port that its pod names', async () => {
    const objects = await render(EVERYTHING)
    const services = objects.filter(({ kind }) => kind === 'Service')
    const served = services.map(({ metadata: { name }, spec }) => {
      const deployment = name.replace(/-api$/, '')
      const ports = find(objects, 'Deployment', deployment).spec?.template?.spec.containers[0]?.ports ?? []
      return [name, ports.find(({ name: port }) => port === spec?.ports?.[0]?.targetPort)?.containerPort]
    })
    expect(Object.fromEntries(served)).toEqual({
      shardcluster: 8081,
      'shardcluster-api': 8083,
      'shardcluster-rest-proxy': 8000,
      'shardcluster-simulator': 8082,
      'shardcluster-sample-bot': 8090,
    })
  })

  test('neither a version nor a label changes what a Deployment selects, which it must not', async () => {
    const before = find(await render(), 'Deployment', 'shardcluster')
    const after = find(
      await render({ commonLabels: { team: 'gateway' }, image: { tag: '9' } }),
      'Deployment',
      'shardcluster',
    )
    expect(selectorOf(after)).toEqual(selectorOf(before))
  })

  const selectorOf = ({ spec }: Rendered): object =>
    (spec?.['podSelector'] as Rendered['spec'])?.['matchLabels'] ?? spec?.selector?.matchLabels ?? spec?.selector ?? {}
})

describe('the PodDisruptionBudget', () => {
  test('lets one operator go at a time, and never keeps a broken one', async () => {
    const { spec } = find(await render({ replicas: 2 }), 'PodDisruptionBudget', 'shardcluster-operator')
    expect(spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' })
  })

  test.for([{ replicas: 1 }, { replicas: 2, podDisruptionBudget: { enabled: false } }])(
    'is not there with %j',
    async (values) => {
      expect(names(await render(values))).not.toContain('PodDisruptionBudget/shardcluster-operator')
    },
  )
})

describe('the CustomResourceDefinition', () => {
  const NAME = 'shardclusters.shardcluster.dev'
  const shown = async (...flags: string[]) =>
    await helm(['template', 'shardcluster', CHART, '--show-only=templates/crd.yaml', ...flags])

  test('is the generated one, with labels and nothing else changed', async () => {
    const generated = readFileSync(join(CHART, '..', '..', 'crds', 'shardcluster.yaml'), 'utf8')
    const body = (text: string) => text.slice(text.indexOf('\nspec:\n')).trimEnd()
    expect(body(await shown())).toBe(body(generated))
    expect(body(generated)).toContain('\nspec:\n  group: shardcluster.dev\n')
  })

  test('stays on uninstall, unless that is not wanted', async () => {
    const annotations = async (values: object) =>
      find(await render(values), 'CustomResourceDefinition', NAME).metadata.annotations
    expect(await annotations({})).toEqual({ 'helm.sh/resource-policy': 'keep' })
    expect(await annotations({ crds: { keep: false } })).toBeUndefined()
  })

  test('is left out when somebody else installs it', async () => {
    expect(names(await render({ crds: { enabled: false } }))).not.toContain(`CustomResourceDefinition/${NAME}`)
  })
})
