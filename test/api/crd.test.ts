import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REASONS } from '../../src/api/conditions.ts'
import { INTENT_NAMES } from '../../src/api/intents.ts'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import {
  type CrdServer,
  type Json,
  type Manifest,
  manifest,
  refusal,
  sinks,
  startCrdServer,
  status,
} from './crd-server.ts'

/** The CRD on a real API server: what it documents, fills in, keeps and shows. */

let server: CrdServer
beforeAll(async () => {
  server = await startCrdServer()
})
afterAll(() => server?.stop())

describe('documentation', () => {
  test('the schema is structural and its names are accepted', async () => {
    const crd = JSON.parse(await server.kubectl(['get', 'crd', 'shardclusters.shardcluster.dev', '--output=json']))
    const conditions: { type: string; status: string }[] = crd.status.conditions
    expect(Object.fromEntries(conditions.map(({ type, status }) => [type, status]))).toEqual({
      Established: 'True',
      NamesAccepted: 'True',
    })
    expect(await server.kubectl(['api-resources', '--api-group=shardcluster.dev', '--no-headers'])).toMatch(
      /^shardclusters\s+shc\s+shardcluster.dev\/v1alpha1\s+true\s+ShardCluster\s*$/,
    )
  })

  test('kubectl explain has a sentence for every field that --recursive lists', async () => {
    const listed = explained(await server.kubectl(['explain', 'shardcluster', '--recursive']))
    const published = JSON.parse(await server.kubectl(['get', '--raw', '/openapi/v3/apis/shardcluster.dev/v1alpha1']))
    const schema = published.components.schemas['dev.shardcluster.v1alpha1.ShardCluster']
    const fields = new Map(documented(schema))
    expect(listed.length).toBeGreaterThan(60)
    expect(listed).toEqual(expect.arrayContaining(['spec.events.http.url', 'status.conditions.reason']))
    expect([...fields.keys()].sort()).toEqual([...listed].sort())
    const silent = [...fields].filter(([, description]) => !description?.match(/\w.*\.$/s)).map(([path]) => path)
    expect(silent, 'fields without a sentence').toEqual([])
    const one = await server.kubectl(['explain', 'shardcluster.spec.identify.reserve'])
    expect(one.replaceAll(/\s+/g, ' ')).toContain('at zero Discord resets the token')
  })
})

/** Paths of the fields in the answer of `kubectl explain --recursive`, without metadata. */
function explained(text: string): string[] {
  const path: string[] = []
  const paths: string[] = []
  for (const [, indent = '', name = ''] of text.matchAll(/^( {2,})(\w+)\t</gm)) {
    path.length = indent.length / 2 - 1
    path.push(name)
    if (!['apiVersion', 'kind', 'metadata'].includes(path[0] ?? '')) paths.push(path.join('.'))
  }
  return paths
}

interface Published {
  readonly description?: string
  readonly properties?: Record<string, Published>
  readonly items?: Published
  readonly additionalProperties?: Published
}

/** The same paths with their descriptions, from what the API server publishes. */
function documented(schema: Published, prefix = ''): [string, string | undefined][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]): [string, string | undefined][] => {
    if (prefix === '' && ['apiVersion', 'kind', 'metadata'].includes(name)) return []
    const inner = field.items ?? field.additionalProperties ?? field
    return [[prefix + name, field.description], ...documented(inner, `${prefix}${name}.`)]
  })
}

describe('defaults', () => {
  test('a GET shows them, and they are those of the TypeScript types', async () => {
    const least = manifest('defaults', (spec) => {
      for (const field of ['totalWorkers', 'shardsPerWorker', 'totalShards']) delete spec[field]
    })
    await server.create(least)
    const { spec } = await server.get('defaults')
    expect(spec).toEqual(shardClusterSchema.parse(least).spec)
    expect(spec).toMatchObject({
      totalWorkers: 1,
      shardsPerWorker: 500,
      tokenSecretRef: { name: 'bot', key: 'token' },
      rest: { timeoutSeconds: 10 },
      gateway: { version: 10, compression: 'None' },
      identify: { reserve: 100, order: 'Spread', windowMilliseconds: 5000 },
      worker: { threads: 1, logLevel: 'info', terminationGracePeriodSeconds: 60 },
    })
    expect(spec).not.toHaveProperty('totalShards')
  })

  test('the default key of each Secret is that of its purpose', async () => {
    const keys = manifest('keys', (spec) => {
      Object.assign(spec['rest'] as Json, { authorizationSecretRef: { name: 'bot' } })
      spec['events'] = [{ name: 'bot', http: { url: 'http://bot/', authorizationSecretRef: { name: 'bot' } } }]
    })
    const { spec } = await server.create(keys, '--dry-run=server')
    expect(spec).toMatchObject({
      tokenSecretRef: { key: 'token' },
      rest: { authorizationSecretRef: { key: 'rest-authorization' } },
      events: [{ http: { authorizationSecretRef: { key: 'events-authorization' } } }],
    })
  })
})

test('intents are names, bit fields, or both', async () => {
  const intents = [...INTENT_NAMES, 0, 513, 2 ** 31 - 1]
  const { spec } = await server.create(
    manifest('intents', (draft) => {
      draft['gateway'] = { intents }
    }),
  )
  expect(spec).toMatchObject({ gateway: { intents } })
})

describe('kubectl scale', () => {
  test('below capacity is refused with the reason, above it works', async () => {
    await server.create(manifest('scaled'))
    const scale = (replicas: number) => server.kubectl(['scale', 'shardcluster/scaled', `--replicas=${replicas}`])
    expect(await refusal(scale(1))).toContain('totalShards do not fit on the workers')
    expect((await server.get('scaled')).spec).toMatchObject({ totalWorkers: 2 })
    await scale(3)
    expect((await server.get('scaled')).spec).toMatchObject({ totalWorkers: 3 })
  })

  test('goes anywhere while the count is left to Discord', async () => {
    await server.create(manifest('recommended', (spec) => delete spec['totalShards']))
    await server.kubectl(['scale', 'shardcluster/recommended', '--replicas=1'])
    expect((await server.get('recommended')).spec).toMatchObject({ totalWorkers: 1 })
  })

  test('the scale subresource has what a HorizontalPodAutoscaler reads', async () => {
    await server.create(manifest('hpa'))
    await server.patch('hpa', { status: status() }, '--subresource=status')
    const path = '/apis/shardcluster.dev/v1alpha1/namespaces/default/shardclusters/hpa/scale'
    expect(JSON.parse(await server.kubectl(['get', '--raw', path]))).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 2 },
      status: { replicas: 2, selector: 'app.kubernetes.io/component=sharder,shardcluster.dev/cluster=bot' },
    })
  })
})

describe('status', () => {
  test('is written by its subresource alone, and does not count as a generation', async () => {
    await server.create({ ...manifest('status'), status: status() })
    // What the schema fills in: no operator has looked at it.
    expect((await server.get('status'))['status']).toEqual({ observedGeneration: 0 })
    await server.patch('status', { status: status() }, '--subresource=status')
    await server.patch('status', { spec: { totalWorkers: 9 }, status: { readyShards: 1 } }, '--subresource=status')
    const { metadata, spec, status: stored } = await server.get('status')
    expect(metadata['generation']).toBe(1)
    expect(spec['totalWorkers']).toBe(2)
    expect(stored).toEqual(status({ readyShards: 1 }))
    await server.patch('status', { spec: { totalWorkers: 9 }, status: { readyShards: 2 } })
    const later = await server.get('status')
    expect(later.metadata['generation']).toBe(2)
    expect(later['status']).toMatchObject({ readyShards: 1 })
  })

  test('kubectl wait understands its conditions', async () => {
    await server.create(manifest('waited'))
    const ready = [{ ...status().conditions[0], status: 'True', reason: REASONS.AllShardsReady }]
    await server.patch('waited', { status: status({ conditions: ready }) }, '--subresource=status')
    await server.kubectl(['wait', '--for=condition=Ready', '--timeout=10s', 'shardcluster/waited'])
  })

  test('a condition has one row, whoever writes it', async () => {
    await server.create(manifest('rows'))
    const twice = [status().conditions[0], status().conditions[0]]
    const said = await refusal(server.patch('rows', { status: status({ conditions: twice }) }, '--subresource=status'))
    expect(said).toMatch(/Duplicate value.*"type":"Ready"/)
  })
})

test('two field managers own a sink each', async () => {
  const apply = (manager: string, object: Manifest) =>
    server.kubectl(['apply', '--server-side', `--field-manager=${manager}`, '--filename', '-'], {
      input: JSON.stringify(object),
    })
  const [first, second] = sinks(2)
  await apply(
    'one',
    manifest('managers', (spec) => {
      spec['events'] = [first]
    }),
  )
  const { apiVersion, kind, metadata } = manifest('managers')
  await apply('two', { apiVersion, kind, metadata, spec: { events: [second] } })
  expect((await server.get('managers')).spec['events']).toMatchObject([first, second])
})

describe('kubectl get', () => {
  const columns = (text: string) => text.split('\n')[0]?.split(/\s{2,}/)

  test('shows in 80 columns what there is to know', async () => {
    await server.create(manifest('columns'))
    await server.patch('columns', { status: status() }, '--subresource=status')
    const text = await server.kubectl(['get', 'shc', 'columns'])
    expect(columns(text)).toEqual(['NAME', 'SHARDS', 'WORKERS', 'NEW', 'READY', 'REASON', 'AGE'])
    expect(text.split('\n')[1]).toMatch(/^columns +4987\/5120 +2 +False +WaitingForIdentifyBudget +\d+s$/)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  test('the longest reason of all fits, too', async () => {
    const longest = Object.values(REASONS).reduce((a, b) => (b.length > a.length ? b : a))
    await server.create(manifest('longest'))
    const conditions = [{ ...status().conditions[0], reason: longest, status: 'Unknown' }]
    await server.patch('longest', { status: status({ conditions }) }, '--subresource=status')
    const text = await server.kubectl(['get', 'shc', 'longest'])
    expect(text).toContain(longest)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  test('-o wide adds the budget, the image and the message', async () => {
    await server.create(manifest('wide'))
    await server.patch('wide', { status: status() }, '--subresource=status')
    const text = await server.kubectl(['get', 'shc', 'wide', '--output=wide'])
    expect(columns(text)?.slice(7)).toEqual(['BUCKETS', 'BUDGET', 'ETA', 'IMAGE', 'MESSAGE'])
    expect(text.split('\n')[1]).toMatch(/ 16 +19880 +shardcluster:0\.2\.0 +Held until 00:00 UTC\.$/)
  })
})
