import { expect, test } from 'vitest'
import { CHART, helm, MONITORED } from './helm.ts'

/**
 * What the chart prints, whole, so that a change of a template shows what it does to a release: `vitest -u` writes it
 * anew. Without the CRD, which is generated, and what is made up at install.
 */

const RENDERED = [
  ['defaults', {}],
  ['everything', MONITORED],
  [
    'one-namespace',
    {
      watchNamespaces: ['bots'],
      crds: { enabled: false },
      rbac: { aggregateClusterRoles: false },
      image: { repository: 'registry.example/shardcluster', digest: `sha256:${'0'.repeat(64)}` },
      resources: { requests: { cpu: 1 } },
      nodeSelector: { pool: 'gateway' },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' },
      ],
      priorityClassName: 'system-cluster-critical',
      extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca.pem' }],
      rest: { allowedHosts: ['.svc', '10.0.0.0/8'] },
      networkPolicy: {
        metricsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }],
        operator: { egress: [{ ports: [{ port: 3000 }] }] },
        workers: { egress: [{ ports: [{ port: 4222 }] }] },
      },
    },
  ],
] as const

test.for(RENDERED)('%s', async ([name, values]) => {
  const args = ['template', 'shardcluster', CHART, '--namespace=system', '--values=-', '--set=crds.enabled=false']
  const text = await helm(args, { input: JSON.stringify(values) })
  const secret = /^( {2}(?:rest-authorization|events-authorization|simulator-control): ).*$/gm
  const plain = text
    .replaceAll(secret, '$1MADE UP AT INSTALL')
    .replaceAll(/^ {2}shardcluster\.json: \|\n( {4}.*\n)+/gm, '')
  await expect(plain).toMatchFileSnapshot(`rendered/${name}.yaml`)
})
