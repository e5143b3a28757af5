import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { sampleBotCommand } from '../../src/cli/sample-bot-command.ts'
import { restProxyCommand } from '../../src/rest-proxy/index.ts'
import { fakeToken, simulatorCommand } from '../../src/simulator/index.ts'
import { CHART, EVERYTHING, find, type Rendered, render } from './helm.ts'

/** crds/samples/simulator.yaml and the release it is applied beside must speak of the same addresses, keys and times. */

const trial = await render(EVERYTHING)
const sample = shardClusterSchema.parse(
  parse(readFileSync(join(CHART, '..', '..', 'crds', 'samples', 'simulator.yaml'), 'utf8')),
).spec

/** What the flags in the container of a Deployment amount to. */
function options(create: typeof simulatorCommand, name: string, objects: Rendered[] = trial): Record<string, unknown> {
  const [container] = find(objects, 'Deployment', name).spec?.template?.spec.containers ?? []
  const program = create()
  program.parseOptions([...(container?.args ?? [])])
  return program.opts()
}

/** `host:port` of each Service, from its own namespace and from others. */
const addresses = trial
  .filter(({ kind }) => kind === 'Service')
  .flatMap(({ metadata: { name, namespace }, spec }) => {
    const port = spec?.ports?.[0]?.port
    return [`${name}:${port}`, `${name}.${namespace}:${port}`]
  })

test('the sample calls Services that are there', () => {
  expect(addresses).toContain(new URL(sample.rest.baseUrl).host)
  for (const { http } of sample.events) expect(addresses).toContain(new URL(http?.url ?? '').host)
})

test('the sample names keys that the Secret has', () => {
  const { data = {} } = find(trial, 'Secret', 'shardcluster-trial')
  const references = [
    sample.tokenSecretRef,
    sample.rest.authorizationSecretRef,
    ...sample.events.map(({ http }) => http?.authorizationSecretRef),
  ]
  for (const reference of references) {
    expect(reference?.name).toBe('shardcluster-trial')
    expect(Object.keys(data)).toContain(reference?.key)
  }
})

test('the sample identifies exactly as fast as the simulator allows', () => {
  const simulator = options(simulatorCommand, 'shardcluster-simulator')
  expect(sample.identify.windowMilliseconds).toBe(simulator['identifyWindow'])
  expect(sample.totalShards).toBe(simulator['recommendedShards'])
  expect(simulator['sessionStartTotal']).toBeGreaterThan((sample.totalShards ?? 0) + sample.identify.reserve)
})

test('the pods read the files that the Secret gives them', () => {
  const { data = {} } = find(trial, 'Secret', 'shardcluster-trial')
  const text = Buffer.from(data['token'] ?? '', 'base64').toString()
  expect(text).toBe(fakeToken())
  const files = [
    [simulatorCommand, 'shardcluster-simulator', ['tokenFile', 'controlKeyFile'], ['token', 'simulator-control']],
    [restProxyCommand, 'shardcluster-rest-proxy', ['tokenFile', 'authorizationFile'], ['token', 'rest-authorization']],
    [sampleBotCommand, 'shardcluster-sample-bot', ['authorizationFile'], ['events-authorization']],
  ] as const
  for (const [create, name, flags, keys] of files) {
    const given = options(create, name)
    expect(flags.map((flag) => given[flag])).toEqual(Object.keys(mounted(name)))
    expect(Object.values(mounted(name))).toEqual(keys)
    expect(Object.keys(data)).toEqual(expect.arrayContaining([...keys]))
  }
})

interface Items {
  readonly items: readonly { key: string; path: string }[]
}
interface Volume {
  readonly secret?: Items
  readonly projected?: { readonly sources: readonly { readonly secret: Items }[] }
}

/** Path in the container -> key of a Secret. */
function mounted(name: string): Record<string, string> {
  const spec = find(trial, 'Deployment', name).spec?.template?.spec
  const [volume] = (spec?.['volumes'] ?? []) as Volume[]
  const [mount] = (spec?.containers[0]?.['volumeMounts'] ?? []) as { mountPath: string }[]
  const secrets = volume?.secret ? [volume.secret] : (volume?.projected?.sources ?? []).map(({ secret }) => secret)
  const items = secrets.flatMap((secret) => secret.items)
  return Object.fromEntries(items.map(({ key, path }) => [`${mount?.mountPath}/${path}`, key]))
}

test('the REST proxy asks the simulator, which sends shards to itself', () => {
  const asked = new URL(String(options(restProxyCommand, 'shardcluster-rest-proxy')['discordUrl']))
  const sentTo = new URL(String(options(simulatorCommand, 'shardcluster-simulator')['gatewayUrl']))
  expect(asked.pathname).toBe('/api')
  expect(asked.host).toBe('shardcluster-simulator.system:8082')
  expect(sentTo.host).toBe('shardcluster-simulator:8082')
  // The sample for it admits just that.
  expect(sample.gateway.hosts).toEqual([sentTo.origin])
  expect(addresses).toContain(asked.host)
})

test('a REST proxy of a real bot asks Discord, with the Secrets that were named', async () => {
  const restProxy = {
    enabled: true,
    tokenSecretRef: { name: 'bot' },
    authorizationSecretRef: { name: 'keys', key: 'rest' },
  }
  const objects = await render({ restProxy })
  expect(options(restProxyCommand, 'shardcluster-rest-proxy', objects)['discordUrl']).toBeUndefined()
  const volumes = find(objects, 'Deployment', 'shardcluster-rest-proxy').spec?.template?.spec['volumes']
  expect(volumes).toMatchObject([
    {
      projected: {
        sources: [
          { secret: { name: 'bot', items: [{ key: 'token', path: 'token' }] } },
          { secret: { name: 'keys', items: [{ key: 'rest', path: 'authorization' }] } },
        ],
      },
    },
  ])
})

test('no key is the same in two releases', async () => {
  const values = ['rest-authorization', 'events-authorization', 'simulator-control']
  const [one, two] = await Promise.all([render(EVERYTHING), render(EVERYTHING)])
  const secrets = [one, two].map((objects) => find(objects, 'Secret', 'shardcluster-trial').data ?? {})
  const all = secrets.flatMap((data) => values.map((key) => data[key]))
  expect(new Set(all).size).toBe(6)
})
