import { describe, expect, test } from 'vitest'
import { EVERYTHING, find, names, type Rendered, render } from './helm.ts'

const peer = (name: string) => [{ namespaceSelector: { matchLabels: { name } } }]
const spec = (objects: Rendered[], name: string) => find(objects, 'NetworkPolicy', name).spec

test('the pods of the release admit the given peers, each to its own', async () => {
  const objects = await render({
    ...EVERYTHING,
    networkPolicy: {
      enabled: true,
      metricsFrom: peer('monitoring'),
      apiFrom: peer('bots'),
      restProxyFrom: peer('bots'),
    },
  })
  const ingress = (name: string) => spec(objects, name)?.['ingress']
  expect(ingress('shardcluster-operator')).toEqual([
    { ports: [{ port: 'http' }], from: peer('monitoring') },
    { ports: [{ port: 'api' }], from: peer('bots') },
  ])
  expect(ingress('shardcluster-rest-proxy')).toEqual([{ ports: [{ port: 'http' }], from: peer('bots') }])
  expect(ingress('shardcluster-simulator')).toEqual([{ ports: [{ port: 'http' }] }])
  expect(names(objects)).not.toContain('NetworkPolicy/shardcluster-workers')
})

describe('workers', () => {
  const workers = (more: object = {}) => ({
    networkPolicy: { metricsFrom: peer('monitoring'), workers: { enabled: true, ...more } },
  })

  test('admit the operator and whoever reads metrics', async () => {
    const objects = await render(workers())
    const ingress = spec(objects, 'shardcluster-workers')?.['ingress']
    const { matchLabels } = find(objects, 'Deployment', 'shardcluster').spec?.selector ?? {}
    expect(ingress).toEqual([
      {
        ports: [{ port: 'http' }],
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'system' } },
            podSelector: { matchLabels },
          },
          ...peer('monitoring'),
        ],
      },
    ])
  })

  test('connect to anything, unless it is said to what beside DNS and Discord', async () => {
    expect(spec(await render(workers()), 'shardcluster-workers')).toMatchObject({ policyTypes: ['Ingress'] })
    const nats = { ports: [{ port: 4222 }], to: peer('nats') }
    const restricted = spec(await render(workers({ egress: [nats] })), 'shardcluster-workers')
    expect(restricted).toMatchObject({
      policyTypes: ['Ingress', 'Egress'],
      egress: [
        {
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        },
        { ports: [{ port: 443 }] },
        nats,
      ],
    })
  })

  test.for([
    [{}, {}, ['NetworkPolicy/shardcluster-workers']],
    [
      { watchNamespaces: ['one', 'two'] },
      {},
      ['NetworkPolicy/one/shardcluster-workers', 'NetworkPolicy/two/shardcluster-workers'],
    ],
    [{ watchNamespaces: ['one'] }, { namespaces: ['three'] }, ['NetworkPolicy/three/shardcluster-workers']],
  ] as const)('%j and %j: the policy is where ShardClusters are', async ([values, more, expected]) => {
    const objects = await render({ ...values, ...workers(more) })
    expect(names(objects).filter((name) => name.startsWith('NetworkPolicy'))).toEqual(expected)
  })
})
