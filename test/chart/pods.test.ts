import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../operator/config.ts'
import { sampleBotCommand } from '../../src/cli/sample-bot-command.ts'
import { restProxyCommand } from '../../src/rest-proxy/index.ts'
import { simulatorCommand } from '../../src/simulator/index.ts'
import { type Container, EVERYTHING, find, pods, type Rendered, render } from './helm.ts'

const container = (objects: Rendered[], name: string): Container => {
  const [first] = find(objects, 'Deployment', name).spec?.template?.spec.containers ?? []
  if (!first) throw new Error(`the Deployment ${name} has no container`)
  return first
}

describe('every pod', async () => {
  const all = pods(await render(EVERYTHING))

  test('is there', () => {
    expect(all.map(({ metadata }) => metadata.name).sort()).toEqual([
      'shardcluster',
      'shardcluster-rest-proxy',
      'shardcluster-sample-bot',
      'shardcluster-simulator',
      'shardcluster-test-ready',
      'shardcluster-test-rights',
    ])
  })

  test.for(all)('$metadata.name fulfils the Pod Security Standard "restricted", and more', ({ spec }) => {
    expect(spec.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      fsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    for (const { securityContext } of spec.containers) {
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    }
  })

  test.for(all)('$metadata.name asks for memory, and has a limit of it', ({ spec }) => {
    for (const { resources } of spec.containers) {
      expect(resources).toMatchObject({
        requests: { memory: expect.any(String) },
        limits: { memory: expect.any(String) },
      })
    }
  })

  test.for(all)(
    '$metadata.name takes no variable from a Service, and a token only where one is used',
    ({ metadata, spec }) => {
      expect(spec['enableServiceLinks']).toBe(false)
      const mounted = spec['automountServiceAccountToken'] !== false
      expect(mounted).toBe(['shardcluster', 'shardcluster-test-rights'].includes(metadata.name))
    },
  )

  test.for(all)('$metadata.name has no secret in its environment or arguments', ({ spec }) => {
    for (const { env = [], args } of spec.containers) {
      expect(JSON.stringify(env)).not.toContain('secretKeyRef')
      expect(args.join(' ')).not.toMatch(/--(token|authorization|control-key)[= ]/)
    }
  })
})

test('the operator understands what its environment says', async () => {
  const allowedHosts = ['.svc', '*.example.com', 'proxy', '10.0.0.0/8', '10.1.2.3', 'fd00::/8', '2001:db8::7']
  const objects = await render({ watchNamespaces: ['one', 'two'], logLevel: 'debug', rest: { allowedHosts } })
  const { args, env = [], ports } = container(objects, 'shardcluster')
  expect(args).toEqual(['operator'])
  const config = parseConfig(Object.fromEntries(env.map(({ name, value }) => [name, value ?? `the pod's ${name}`])))
  expect(config).toEqual({
    namespace: "the pod's SHARDCLUSTER_NAMESPACE",
    podName: "the pod's POD_NAME",
    watchNamespaces: ['one', 'two'],
    restHosts: allowedHosts,
    workerImage: 'shardcluster:0.2.0',
    workerImagePullPolicy: 'IfNotPresent',
    httpPort: ports?.[0]?.containerPort,
    apiPort: ports?.[1]?.containerPort,
    logLevel: 'debug',
    leaseName: 'shardcluster',
  })
  expect(env).toContainEqual({
    name: 'SHARDCLUSTER_NAMESPACE',
    valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } },
  })
  expect(env).toContainEqual({ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } })
})

test('without chosen namespaces it watches all', async () => {
  const { env = [] } = container(await render(), 'shardcluster')
  const config = parseConfig(Object.fromEntries(env.map(({ name, value }) => [name, value])))
  expect(config.watchNamespaces).toEqual([])
  expect(config.restHosts).toEqual([])
})

test('the lease it is told of is the lease it may write', async () => {
  const objects = await render({}, 'another')
  const lease = container(objects, 'another-shardcluster').env?.find(({ name }) => name === 'SHARDCLUSTER_LEASE_NAME')
  const { rules = [] } = find(objects, 'Role', 'another-shardcluster-leader-election')
  expect(rules.flatMap(({ resourceNames = [] }) => resourceNames)).toEqual([lease?.value])
})

describe('arguments', async () => {
  const objects = await render({
    ...EVERYTHING,
    restProxy: { enabled: true, discordUrl: 'https://discord.example/api' },
  })
  const COMMANDS = [
    ['shardcluster-rest-proxy', restProxyCommand],
    ['shardcluster-simulator', simulatorCommand],
    ['shardcluster-sample-bot', sampleBotCommand],
  ] as const

  test.for(COMMANDS)('of %s are all known to the program', ([name, create]) => {
    const [command, ...flags] = container(objects, name).args
    const program = create().exitOverride()
    expect(command).toBe(program.name())
    expect(program.parseOptions([...flags])).toMatchObject({ operands: [], unknown: [] })
    const given = program.options.filter((option) => program.getOptionValueSource(option.attributeName()) === 'cli')
    expect(given).toHaveLength(flags.length)
  })

  test.for(COMMANDS)('of %s listen on the port that its container names', ([name, create]) => {
    const { args, ports = [] } = container(objects, name)
    const program = create().exitOverride()
    program.parseOptions(args.slice(1))
    expect(Number(program.opts()['port'])).toBe(ports[0]?.containerPort)
  })

  test('of the user come last', async () => {
    const extraArgs = ['--timeout=5000']
    const given = await render({ ...EVERYTHING, extraArgs: ['--x'], restProxy: { enabled: true, extraArgs } })
    expect(container(given, 'shardcluster').args).toEqual(['operator', '--x'])
    expect(container(given, 'shardcluster-rest-proxy').args.at(-1)).toBe('--timeout=5000')
  })
})

describe('the image', () => {
  const DIGEST = `sha256:${'0'.repeat(64)}`
  test.for([
    [{}, 'shardcluster:0.2.0'],
    [{ repository: 'registry.example/gateway', tag: 'v2' }, 'registry.example/gateway:v2'],
    [{ digest: DIGEST }, `shardcluster:0.2.0@${DIGEST}`],
  ] as const)('%j is %s, for all pods and for the workers', async ([image, expected]) => {
    const objects = await render({ ...EVERYTHING, image: { ...image, pullPolicy: 'Never' } })
    const containers = pods(objects).flatMap(({ spec }) => spec.containers)
    expect(new Set(containers.map((each) => each.image))).toEqual(new Set([expected]))
    expect(new Set(containers.map((each) => each['imagePullPolicy']))).toEqual(new Set(['Never']))
    const { env = [] } = container(objects, 'shardcluster')
    expect(env).toContainEqual({ name: 'SHARDCLUSTER_WORKER_IMAGE', value: expected })
    expect(env).toContainEqual({ name: 'SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY', value: 'Never' })
  })
})

test('what is said about scheduling arrives in the pod', async () => {
  const scheduling = {
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ key: 'bots', operator: 'Exists' }],
    affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    priorityClassName: 'system-cluster-critical',
  }
  const spread = [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }]
  const own = { podLabels: { a: 'b' }, podAnnotations: { c: 'd' }, extraEnv: [{ name: 'NODE_OPTIONS', value: '-x' }] }
  const objects = await render({
    ...EVERYTHING,
    ...scheduling,
    ...own,
    topologySpreadConstraints: spread,
    imagePullSecrets: [{ name: 'registry' }],
    restProxy: { enabled: true, ...scheduling, ...own },
  })
  const templates = ['shardcluster', 'shardcluster-rest-proxy'].map(
    (name) => find(objects, 'Deployment', name).spec?.template,
  )
  for (const template of templates) {
    expect(template?.spec).toMatchObject({ ...scheduling, imagePullSecrets: [{ name: 'registry' }] })
    expect(template?.metadata).toMatchObject({ labels: { a: 'b' }, annotations: { c: 'd' } })
    expect(template?.spec.containers[0]?.env).toContainEqual({ name: 'NODE_OPTIONS', value: '-x' })
  }
  expect(templates[0]?.spec['topologySpreadConstraints']).toEqual(spread)
})
