import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { NO_HOST_RULES } from '../unit/operator/no-host-rules.ts'
import { CHART, helm, MONITORED, render } from './helm.ts'

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly additionalProperties?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
}

const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'))
const schema: Schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'))

test.for([
  ['the defaults', {}],
  ['everything switched on', MONITORED],
  ['chosen namespaces', { watchNamespaces: ['one', 'two'] }],
] as const)('helm lint has nothing to say about %s', async ([, given]) => {
  const said = await helm(['lint', '--strict', CHART, '--values=-'], { input: JSON.stringify(given) })
  expect(said).toContain('1 chart(s) linted, 0 chart(s) failed')
  expect(said).not.toMatch(/\[(WARNING|ERROR)\]/)
})

test('the schema describes exactly the keys of values.yaml, each with a sentence', () => {
  const { global: _, ...properties } = schema.properties ?? {}
  expect(keys({ properties }).sort()).toEqual(valueKeys(values, { properties }).sort())
  const silent = descriptions(schema).filter(([, description]) => !description?.endsWith('.'))
  expect(silent).toEqual([])
})

/** Paths of what has a shape; a free-form object such as nodeSelector is one path. */
const keys = ({ properties = {} }: Schema, prefix = ''): string[] =>
  Object.entries(properties).flatMap(([key, inner]) =>
    inner.properties ? keys(inner, `${prefix}${key}.`) : [prefix + key],
  )

const valueKeys = (object: object, { properties = {} }: Schema, prefix = ''): string[] =>
  Object.entries(object).flatMap(([key, value]) => {
    const inner = properties[key]
    return inner?.properties ? valueKeys(value, inner, `${prefix}${key}.`) : [prefix + key]
  })

const descriptions = ({ properties = {} }: Schema, prefix = ''): [string, string | undefined][] =>
  Object.entries(properties).flatMap(([key, inner]): [string, string | undefined][] => [
    [prefix + key, inner.description],
    ...descriptions(inner, `${prefix}${key}.`),
  ])

describe('refused with the path', () => {
  const REFUSED: [object, RegExp][] = [
    [{ replica: 2 }, /'': additional properties 'replica' not allowed|additional properties 'replica'/],
    [{ image: { name: 'x' } }, /\/image.*additional properties 'name'/],
    [{ restProxy: { tokenSecretRef: { nam: 'x' } } }, /\/restProxy\/tokenSecretRef.*additional properties 'nam'/],
    [{ resources: { limit: {} } }, /\/resources.*additional properties 'limit'/],
    [{ replicas: -1 }, /\/replicas.*minimum/],
    [{ replicas: '2' }, /\/replicas.*got string, want integer/],
    [{ image: { pullPolicy: 'Sometimes' } }, /\/image\/pullPolicy.*'Always', 'IfNotPresent', 'Never'/],
    [{ image: { digest: 'latest' } }, /\/image\/digest.*does not match pattern/],
    [{ image: { repository: '' } }, /\/image\/repository.*minLength/],
    [{ watchNamespaces: 'one' }, /\/watchNamespaces.*got string, want array/],
    [{ watchNamespaces: ['One'] }, /\/watchNamespaces\/0.*does not match pattern/],
    [{ watchNamespaces: ['one', 'one'] }, /\/watchNamespaces.*items at 0 and 1 are equal/],
    [{ logLevel: 'verbose' }, /\/logLevel.*must be one of/],
    [{ service: { port: 0 } }, /\/service\/port.*minimum/],
    [{ api: { port: 8083 } }, /\/api.*additional properties 'port'/],
    [{ api: { service: { port: 65_536 } } }, /\/api\/service\/port.*maximum/],
    [{ podLabels: { team: 1 } }, /\/podLabels\/team.*want string/],
    [
      { monitoring: { serviceMonitor: { interval: 'often' } } },
      /\/monitoring\/serviceMonitor\/interval.*does not match/,
    ],
    [{ monitoring: { workers: { enable: true } } }, /\/monitoring\/workers.*additional properties 'enable'/],
    [
      { networkPolicy: { workers: { namespaces: ['Bots'] } } },
      /\/networkPolicy\/workers\/namespaces\/0.*does not match/,
    ],
    [{ networkPolicy: { enabled: 'auto' } }, /\/networkPolicy\/enabled.*got string, want boolean/],
    [{ networkPolicy: { workers: { enabled: 'yes' } } }, /\/networkPolicy\/workers\/enabled.*must be one of/],
    [{ networkPolicy: { except: '169.254.0.0/16' } }, /\/networkPolicy\/except.*got string, want array/],
    [{ networkPolicy: { except: ['169.254.169.254'] } }, /\/networkPolicy\/except\/0.*does not match/],
    [{ networkPolicy: { except: ['169.254.0.256/16'] } }, /\/networkPolicy\/except\/0.*does not match/],
    // The API server takes no exception that leaves nothing.
    [{ networkPolicy: { except: ['0.0.0.0/0'] } }, /\/networkPolicy\/except\/0.*does not match/],
    [{ networkPolicy: { except: ['fe80::/129'] } }, /\/networkPolicy\/except\/0.*does not match/],
    [{ networkPolicy: { dnsPorts: [] } }, /\/networkPolicy\/dnsPorts.*minItems/],
    [{ networkPolicy: { operator: { apiServer: { ports: ['https'] } } } }, /\/apiServer\/ports\/0.*want integer/],
    [{ networkPolicy: { operator: { ingress: [] } } }, /\/networkPolicy\/operator.*additional properties 'ingress'/],
    [{ networkPolicy: { restProxy: { egress: {} } } }, /\/networkPolicy\/restProxy\/egress.*got object, want array/],
    [{ rest: { hosts: [] } }, /\/rest.*additional properties 'hosts'/],
    [{ rest: { allowedHosts: '.svc' } }, /\/rest\/allowedHosts.*got string, want array/],
    [{ simulator: { timeScale: 0 } }, /\/simulator\/timeScale.*exclusiveMinimum/],
    [{ simulator: { identifyWindowMilliseconds: 10 } }, /\/simulator\/identifyWindowMilliseconds.*minimum/],
    [{ restProxy: { discordUrl: 'discord.com' } }, /\/restProxy\/discordUrl.*does not match pattern/],
  ]
  test.for(REFUSED)('%j', async ([given, sentence]) => {
    await expect(render(given)).rejects.toThrow(sentence)
  })
})

describe('hosts of REST proxies', () => {
  test.for(NO_HOST_RULES)('%s is none', async (host) => {
    await expect(render({ rest: { allowedHosts: [host] } })).rejects.toThrow(/\/rest\/allowedHosts\/0/)
  })

  test('with a comma are two, and must be written as two', async () => {
    await expect(render({ rest: { allowedHosts: ['a,b'] } })).rejects.toThrow(/\/rest\/allowedHosts\/0/)
  })
})

test('a parent chart may hand down its globals', async () => {
  await expect(render({ global: { region: 'eu' } })).resolves.not.toHaveLength(0)
})

describe('what a schema cannot say is said by a sentence', () => {
  test('a REST proxy needs a token', async () => {
    const sentence = 'restProxy.tokenSecretRef.name is empty: name an existing Secret, or set simulator.enabled'
    await expect(render({ restProxy: { enabled: true } })).rejects.toThrow(sentence)
  })

  test('a REST proxy needs a key', async () => {
    const restProxy = { enabled: true, tokenSecretRef: { name: 'bot' } }
    await expect(render({ restProxy })).rejects.toThrow('restProxy.authorizationSecretRef.name is empty')
  })

  test('the operator is not scraped twice', async () => {
    const monitoring = { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } }
    await expect(render({ monitoring })).rejects.toThrow('would scrape the operator twice: choose one')
  })

  test('the sample bot needs the simulator', async () => {
    await expect(render({ sampleBot: { enabled: true } })).rejects.toThrow('sampleBot.enabled needs simulator.enabled')
  })
})

test('the example that the chart shows is a ShardCluster', () => {
  const { annotations } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))
  const examples: unknown[] = parse(annotations['artifacthub.io/crdsExamples'])
  expect(examples).toHaveLength(1)
  for (const example of examples) expect(() => shardClusterSchema.parse(example)).not.toThrow()
})
