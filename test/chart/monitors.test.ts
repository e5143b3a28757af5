import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { podTemplate } from '../../operator/manifests/pod.ts'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { prometheusCrds } from '../support/prometheus/promtool.ts'
import { CHART, find, helm, MONITORED, names, type Rendered, render } from './helm.ts'

/** ServiceMonitor, PodMonitors and PrometheusRule: they select what is there, and the Prometheus operator takes them. */

interface Endpoint {
  readonly port: string
  readonly path: string
  readonly interval: string
  readonly relabelings?: readonly { readonly sourceLabels: readonly string[]; readonly targetLabel: string }[]
}
const endpointOf = ({ spec }: Rendered) =>
  ((spec?.['endpoints'] ?? spec?.['podMetricsEndpoints'] ?? []) as Endpoint[])[0]
const labelsOf = ({ spec }: Rendered) => spec?.selector?.matchLabels ?? {}

const cluster = shardClusterSchema.parse({
  apiVersion: 'shardcluster.dev/v1alpha1',
  kind: 'ShardCluster',
  metadata: { name: 'bot', namespace: 'bots', uid: 'uid' },
  spec: {
    tokenSecretRef: { name: 'bot' },
    rest: { baseUrl: 'http://rest-proxy:8000' },
    gateway: { intents: ['Guilds'] },
    events: [{ name: 'bot', http: { url: 'http://bot:8080/' } }],
  },
})

describe('the operator is scraped', () => {
  test.for([
    ['ServiceMonitor', { serviceMonitor: { enabled: true, interval: '15s' } }],
    ['PodMonitor', { podMonitor: { enabled: true, interval: '15s' } }],
  ] as const)('by a %s', async ([kind, monitoring]) => {
    const objects = await render({ monitoring: { ...monitoring, labels: { release: 'prometheus' } } })
    const monitor = find(objects, kind, 'shardcluster')
    expect(endpointOf(monitor)).toEqual({ port: 'http', path: '/metrics', interval: '15s' })
    expect(monitor.metadata.labels).toMatchObject({ release: 'prometheus' })
    const { metadata, spec } = find(objects, 'Deployment', 'shardcluster').spec?.template ?? {}
    const target = kind === 'PodMonitor' ? metadata : find(objects, 'Service', 'shardcluster').metadata
    expect(target?.labels).toMatchObject(labelsOf(monitor))
    expect(spec?.containers[0]?.ports).toContainEqual({ name: 'http', containerPort: 8081 })
  })

  test('by nothing that was not asked for', async () => {
    expect(names(await render()).filter((name) => /Monitor|PrometheusRule|ConfigMap/.test(name))).toEqual([])
  })
})

describe('workers are scraped', () => {
  const monitor = async (values: object = {}) =>
    find(await render({ ...values, monitoring: { workers: { enabled: true } } }), 'PodMonitor', 'shardcluster-workers')

  test('by the labels and the port that the operator gives them, with their ShardCluster as a label', async () => {
    const found = await monitor()
    const { metadata, spec } = podTemplate(cluster, { image: 'image', imagePullPolicy: undefined }, {})
    expect(metadata.labels).toMatchObject(labelsOf(found))
    expect(Object.keys(labelsOf(found)).length).toBeGreaterThan(0)
    const endpoint = endpointOf(found)
    expect(spec.containers[0]?.ports.map(({ name }) => name)).toContain(endpoint?.port)
    const [, label = ''] = endpoint?.relabelings?.[0]?.sourceLabels ?? []
    // Prometheus writes _ for what a label of its own must not have.
    const known = Object.keys(metadata.labels).map(
      (name) => `__meta_kubernetes_pod_label_${name.replaceAll(/\W/g, '_')}`,
    )
    expect(known).toContain(label)
    expect(endpoint?.relabelings?.[0]?.targetLabel).toBe('cluster')
  })

  test.for([
    [{}, { any: true }],
    [{ watchNamespaces: ['one', 'two'] }, { matchNames: ['one', 'two'] }],
  ] as const)('%j: in %j', async ([values, namespaces]) => {
    expect((await monitor(values)).spec?.['namespaceSelector']).toEqual(namespaces)
  })
})

describe('with the CRDs of the Prometheus operator', () => {
  let server: ApiServer
  beforeAll(async () => {
    server = await startApiServer()
    await server.kubectl(['create', 'namespace', 'system'])
    const crds = await prometheusCrds()
    await server.kubectl(['apply', '--server-side', '--filename', crds])
    await server.kubectl(['wait', '--for=condition=Established', '--timeout=60s', '--filename', crds])
  }, 600_000)
  afterAll(() => server?.stop())

  test.for([
    ['every object', MONITORED],
    ['a PodMonitor of the operator', { monitoring: { podMonitor: { enabled: true } } }],
  ] as const)('the API server takes %s, and knows each field', async ([, values]) => {
    const flags = ['--namespace=system', '--values=-', `--kubeconfig=${server.kubeconfig}`]
    await helm(['upgrade', '--install', 'shardcluster', CHART, ...flags], { input: JSON.stringify(values) })
    // Helm does not ask for strict validation.
    const monitors = (await render(values)).filter(({ kind }) => /Monitor|PrometheusRule/.test(kind))
    expect(monitors.length).toBeGreaterThan(0)
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: monitors })
    const strict = [
      'apply',
      '--server-side',
      '--force-conflicts',
      '--dry-run=server',
      '--validate=strict',
      '--filename=-',
    ]
    expect((await server.kubectl(strict, { input })).trim().split('\n')).toHaveLength(monitors.length)
  })
})
