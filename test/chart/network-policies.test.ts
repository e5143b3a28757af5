import { describe, expect, test } from 'vitest'
import { labelsOf } from '../../operator/manifests/names.ts'
import { SHARDER_PORT } from '../../operator/manifests/pod.ts'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { CHART, EVERYTHING, find, helm, names, pods, render } from './helm.ts'
import { type End, Network } from './network.ts'

/** Who may connect to whom, by the rules of Kubernetes, whatever the pod network. */

const peer = (name: string) => [{ namespaceSelector: { matchLabels: { name } } }]

const released = pods(await render(EVERYTHING))
const component = (name: string): End => {
  const pod = released.find(({ metadata }) => metadata.name === name)
  if (!pod) throw new Error(`no pod of ${name}`)
  const ports = pod.spec.containers[0]?.ports?.map((each) => [each.name, each.containerPort])
  const labels = pod.metadata.labels ?? {}
  return { address: '10.0.0.1', namespace: 'system', labels, ports: Object.fromEntries(ports ?? []) }
}
const worker = (namespace: string): End => {
  const manifest = { apiVersion: 'shardcluster.dev/v1alpha1', kind: 'ShardCluster', metadata: { name: 'bot' } }
  const spec = {
    tokenSecretRef: { name: 'bot' },
    rest: { baseUrl: 'http://proxy' },
    gateway: { intents: ['Guilds'] },
    events: [{ name: 'bot', http: { url: 'http://bot/' } }],
  }
  const labels = labelsOf(shardClusterSchema.parse({ ...manifest, spec }))
  return { address: '10.0.0.2', namespace, labels, ports: { http: SHARDER_PORT } }
}
const pod = (namespace: string, labels: Record<string, string> = {}): End => ({
  address: '10.0.0.3',
  namespace,
  labels,
})
const outside = (address: string): End => ({ address })

const operator = component('shardcluster')
const restProxy = component('shardcluster-rest-proxy')
const simulator = component('shardcluster-simulator')
const sampleBot = component('shardcluster-sample-bot')
const helmTest = component('shardcluster-test-ready')
const stranger = pod('stranger')
const prometheus = pod('monitoring', { 'app.kubernetes.io/name': 'prometheus' })
const API_SERVER = outside('172.18.0.2')
const METADATA = ['169.254.169.254', 'fe80::1', 'fd00:ec2::254', '100.100.100.200', '168.63.129.16'].map(outside)

test('with the defaults each pod of the release and each worker of its namespace has a policy', async () => {
  const policies = async (values: object) => names(await render(values)).filter((name) => name.startsWith('Network'))
  expect(await policies({})).toEqual(['NetworkPolicy/shardcluster-operator', 'NetworkPolicy/shardcluster-workers'])
  const trial = { simulator: { enabled: true }, restProxy: { enabled: true }, sampleBot: { enabled: true } }
  expect(await policies(trial)).toEqual(
    ['operator', 'rest-proxy', 'sample-bot', 'simulator', 'workers'].map(
      (name) => `NetworkPolicy/shardcluster-${name}`,
    ),
  )
  expect(await policies({ networkPolicy: { enabled: false } })).toEqual([])
})

describe('with the defaults', async () => {
  const network = await Network.of({})
  const watched = await Network.of({ watchNamespaces: ['bots'] })

  test.for([
    ['DNS in the cluster', pod('kube-system'), 53, 'UDP'],
    ["DNS of the node's cache", outside('169.254.20.10'), 53, 'UDP'],
    ['DNS over TCP', pod('kube-system'), 53, 'TCP'],
    ["DNS of OpenShift's pods", pod('openshift-dns'), 5353, 'UDP'],
  ] as const)('operator and workers ask %s', ([, to, port, protocol]) => {
    expect(network.reach(operator, to, port, protocol)).toBe('always')
    expect(network.reach(worker('system'), to, port, protocol)).toBe('always')
  })

  test.for([
    ['the API server', API_SERVER, 6443],
    ['the API server behind a load balancer', outside('203.0.113.7'), 443],
    ['a worker of any namespace', worker('bots'), SHARDER_PORT],
    ['a REST proxy of any namespace', pod('bots'), 3000],
    ['a REST proxy elsewhere', outside('10.9.8.7'), 8000],
    ['a REST proxy over IPv6', outside('2001:db8::7'), 8000],
  ] as const)('the operator reaches %s', ([, to, port]) => {
    expect(network.reach(operator, to, port)).toBe('always')
    expect(watched.reach(operator, to, port)).toBe('always')
  })

  test.for([
    ['Discord', outside('162.159.128.233'), 443],
    ['a bot of any namespace', pod('bots'), 3000],
    ['a broker elsewhere', outside('10.9.8.7'), 4222],
  ] as const)('a worker reaches %s', ([, to, port]) => {
    expect(network.reach(worker('system'), to, port)).toBe('always')
    expect(watched.reach(worker('bots'), to, port)).toBe('always')
  })

  test.for(METADATA)('neither operator nor worker reaches the metadata service at $address', (to) => {
    expect(network.reach(operator, to, 80)).toBe('never')
    expect(network.reach(worker('system'), to, 80)).toBe('never')
    expect(network.reach(worker('system'), to, 443)).toBe('never')
    expect(watched.reach(worker('bots'), to, 80)).toBe('never')
  })

  test('a worker is reached by the operator and nobody else, neither its neighbours nor Prometheus', () => {
    for (const [policies, namespace] of [[network, 'system'] as const, [watched, 'bots'] as const]) {
      expect(policies.reach(operator, worker(namespace), SHARDER_PORT)).toBe('always')
      const others = [stranger, pod(namespace), worker(namespace), prometheus, outside('10.9.8.7')]
      for (const other of others) expect(policies.reach(other, worker(namespace), SHARDER_PORT)).toBe('never')
    }
  })

  test('the operator takes nothing but probes, metrics and the API for bots', () => {
    expect(network.reach(prometheus, operator, 8081)).toBe('always')
    expect(network.reach(helmTest, operator, 8081)).toBe('always')
    expect(network.reach(pod('bots'), operator, 8083)).toBe('always')
    expect(network.reach(outside('10.9.8.7'), operator, 8083)).toBe('never')
    expect(network.reach(pod('bots'), operator, 9229)).toBe('never')
  })

  test('the API for bots is for the namespaces that are watched, and for those that are named', async () => {
    expect(watched.reach(pod('bots'), operator, 8083)).toBe('always')
    expect(watched.reach(pod('system'), operator, 8083)).toBe('always')
    expect(watched.reach(stranger, operator, 8083)).toBe('never')
    const apiFrom = [...peer('bots'), ...peer('stranger'), { ipBlock: { cidr: '10.9.0.0/16' } }]
    const told = await Network.of({ watchNamespaces: ['bots'], networkPolicy: { apiFrom } })
    expect(told.reach(stranger, operator, 8083)).toBe('always')
    expect(told.reach(outside('10.9.8.7'), operator, 8083)).toBe('always')
    expect(told.reach(pod('system'), operator, 8083)).toBe('never')
  })
})

describe('the trial', async () => {
  const trial = { simulator: { enabled: true }, restProxy: { enabled: true }, sampleBot: { enabled: true } }
  const network = await Network.of(trial)

  test.for([
    ['the operator asks the REST proxy', operator, restProxy, 8000],
    ['the REST proxy asks the simulator', restProxy, simulator, 8082],
    ['a worker connects to the simulator', worker('system'), simulator, 8082],
    ['a worker of another namespace does, too', worker('bots'), simulator, 8082],
    ['a worker sends its events to the sample bot', worker('system'), sampleBot, 8090],
    ['a bot sends through the REST proxy', pod('bots'), restProxy, 8000],
    ['the REST proxy asks Discord', restProxy, outside('162.159.128.233'), 443],
    ['helm test asks the operator', helmTest, operator, 8081],
  ] as const)('%s', ([, from, to, port]) => {
    expect(network.reach(from, to, port)).toBe('always')
  })

  test.for([
    ['a stranger asks the simulator', stranger, simulator, 8082],
    ['a stranger sends events to the sample bot', stranger, sampleBot, 8090],
    ['somebody outside uses the REST proxy', outside('10.9.8.7'), restProxy, 8000],
    ['the REST proxy asks something else', restProxy, stranger, 8000],
    ['the simulator connects to something', simulator, stranger, 80],
    ['the sample bot connects to something', sampleBot, outside('162.159.128.233'), 443],
    ...METADATA.map((to) => [`the REST proxy asks ${to.address}`, restProxy, to, 443] as const),
  ] as const)('not: %s', ([, from, to, port]) => {
    expect(network.reach(from, to, port)).toBe('never')
  })

  test('works with workers that are told where they may connect to', async () => {
    const narrow = await Network.of({ ...trial, networkPolicy: { workers: { egress: [{ ports: [{ port: 4222 }] }] } } })
    expect(narrow.reach(worker('system'), simulator, 8082)).toBe('always')
    expect(narrow.reach(worker('system'), sampleBot, 8090)).toBe('always')
  })
})

describe('narrowed', () => {
  test('workers connect to DNS, Discord and what is listed', async () => {
    const nats = { ports: [{ port: 4222 }], to: peer('nats') }
    const network = await Network.of({ networkPolicy: { workers: { egress: [nats] } } })
    expect(network.reach(worker('system'), pod('nats'), 4222)).toBe('always')
    expect(network.reach(worker('system'), outside('162.159.128.233'), 443)).toBe('always')
    expect(network.reach(worker('system'), pod('kube-system'), 53, 'UDP')).toBe('always')
    expect(network.reach(worker('system'), pod('nats'), 8222)).toBe('never')
    expect(network.reach(worker('system'), stranger, 4222)).toBe('never')
    for (const to of METADATA) expect(network.reach(worker('system'), to, 443)).toBe('never')
  })

  test('the operator connects to its API server, its workers and the REST proxies that are listed', async () => {
    const proxies = { ports: [{ port: 3000 }], to: peer('bots') }
    const apiServer = { ports: [16_443], to: [{ ipBlock: { cidr: '172.18.0.2/32' } }] }
    const values = { ...EVERYTHING, networkPolicy: { operator: { apiServer, egress: [proxies] } } }
    const network = await Network.of(values)
    expect(network.reach(operator, API_SERVER, 16_443)).toBe('always')
    expect(network.reach(operator, pod('bots'), 3000)).toBe('always')
    expect(network.reach(operator, restProxy, 8000)).toBe('always')
    expect(network.reach(operator, worker('bots'), SHARDER_PORT)).toBe('always')
    expect(network.reach(operator, outside('172.18.0.3'), 16_443)).toBe('never')
    expect(network.reach(operator, pod('bots'), 3001)).toBe('never')
    expect(network.reach(operator, outside('162.159.128.233'), 443)).toBe('never')
  })

  test('metrics are for those that are named, of operator and workers, and for helm test', async () => {
    const network = await Network.of({ networkPolicy: { metricsFrom: peer('monitoring') } })
    expect(network.reach(prometheus, operator, 8081)).toBe('always')
    expect(network.reach(prometheus, worker('system'), SHARDER_PORT)).toBe('always')
    expect(network.reach(helmTest, operator, 8081)).toBe('always')
    expect(network.reach(stranger, operator, 8081)).toBe('never')
  })

  test('the REST proxy is for those that are named, and for the operator', async () => {
    const network = await Network.of({ ...EVERYTHING, networkPolicy: { restProxyFrom: peer('bots') } })
    expect(network.reach(pod('bots'), restProxy, 8000)).toBe('always')
    expect(network.reach(operator, restProxy, 8000)).toBe('always')
    expect(network.reach(stranger, restProxy, 8000)).toBe('never')
  })
})

test('Prometheus reads workers where it is told to, without being named', async () => {
  const network = await Network.of({ monitoring: { workers: { enabled: true } } })
  expect(network.reach(prometheus, worker('system'), SHARDER_PORT)).toBe('always')
  expect(network.reach(pod('monitoring'), worker('system'), SHARDER_PORT)).toBe('never')
})

test('the REST proxy asks another Discord wherever it is, or where it is said to be', async () => {
  const own = { enabled: true, tokenSecretRef: { name: 'bot' }, authorizationSecretRef: { name: 'bot' } }
  const restProxyValues = { ...own, discordUrl: 'http://mirror.example:8000/api' }
  const wide = await Network.of({ restProxy: restProxyValues })
  expect(wide.reach(restProxy, outside('10.9.8.7'), 8000)).toBe('always')
  for (const to of METADATA) expect(wide.reach(restProxy, to, 80)).toBe('never')
  const egress = [{ ports: [{ port: 8000 }], to: [{ ipBlock: { cidr: '10.9.8.7/32' } }] }]
  const narrow = await Network.of({ restProxy: restProxyValues, networkPolicy: { restProxy: { egress } } })
  expect(narrow.reach(restProxy, outside('10.9.8.7'), 8000)).toBe('always')
  expect(narrow.reach(restProxy, outside('10.9.8.8'), 8000)).toBe('never')
})

test('what may be connected to by nobody is for the user to say', async () => {
  const network = await Network.of({ networkPolicy: { except: ['169.254.0.0/16', '10.9.0.0/16'] } })
  expect(network.reach(operator, outside('10.9.8.7'), 80)).toBe('never')
  expect(network.reach(operator, outside('fd00:ec2::254'), 80)).toBe('always')
  const none = await render({ networkPolicy: { except: [] } })
  expect(JSON.stringify(find(none, 'NetworkPolicy', 'shardcluster-operator'))).not.toContain('"except"')
})

test('values that are newer than those of a release that is upgraded with --reuse-values may be missing', async () => {
  const missing = { rest: null, networkPolicy: { except: null, dnsPorts: null, operator: null, restProxy: null } }
  const network = await Network.of({ ...EVERYTHING, ...missing })
  expect(network.reach(operator, API_SERVER, 6443)).toBe('always')
  expect(network.reach(operator, pod('kube-system'), 53, 'UDP')).toBe('always')
  expect(network.reach(restProxy, outside('162.159.128.233'), 443)).toBe('always')
})

describe('policies for workers', () => {
  const made = async (values: object) =>
    names(await render(values)).filter((name) => /^NetworkPolicy.*workers$/.test(name))

  test.for([
    [{}, {}, ['NetworkPolicy/shardcluster-workers']],
    [
      { watchNamespaces: ['one', 'two'] },
      {},
      ['NetworkPolicy/one/shardcluster-workers', 'NetworkPolicy/two/shardcluster-workers'],
    ],
    [{ watchNamespaces: ['one'] }, { namespaces: ['three'] }, ['NetworkPolicy/three/shardcluster-workers']],
    [{ watchNamespaces: ['one'] }, { enabled: true }, ['NetworkPolicy/one/shardcluster-workers']],
    [{}, { enabled: true, namespaces: ['three'] }, ['NetworkPolicy/three/shardcluster-workers']],
    [{ watchNamespaces: ['one'] }, { enabled: false }, []],
  ] as const)('%j and %j: are where ShardClusters are', async ([values, workers, expected]) => {
    expect(await made({ ...values, networkPolicy: { workers } })).toEqual(expected)
  })

  test('are made without those of the release, where only they are wanted', async () => {
    const workers = { enabled: true, namespaces: ['three'] }
    const policies = names(await render({ networkPolicy: { enabled: false, workers } }))
    expect(policies.filter((name) => name.startsWith('Network'))).toEqual(['NetworkPolicy/three/shardcluster-workers'])
  })

  test('are not asked for without saying where', async () => {
    const sentence =
      'name the namespaces of your ShardClusters in networkPolicy.workers.namespaces or in watchNamespaces'
    await expect(render({ networkPolicy: { workers: { enabled: true } } })).rejects.toThrow(sentence)
  })

  const notes = async (values: object) => {
    const args = ['install', 'shardcluster', '--dry-run=client', '--namespace=system', '--values=-']
    const text = await helm([...args.slice(0, 2), CHART, ...args.slice(2)], { input: JSON.stringify(values) })
    return text.split('\nNOTES:\n')[1] ?? ''
  }

  test('are missed loudly where ShardClusters of all namespaces are run', async () => {
    const warning = 'WARNING: ShardClusters of all namespaces are run, but only workers in system have a NetworkPolicy.'
    expect(await notes({})).toContain(warning)
    expect(await notes({ watchNamespaces: ['bots'] })).not.toContain('WARNING')
    expect(await notes({ networkPolicy: { workers: { namespaces: ['bots'] } } })).not.toContain('WARNING')
    expect(await notes({ networkPolicy: { enabled: false } })).toContain('There is no NetworkPolicy for workers')
  })
})
