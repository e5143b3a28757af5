import { expect, test } from 'vitest'
import { shardClusterCrd } from '../../../src/api/crd.ts'

type Schema = Record<string, unknown>

const version = (shardClusterCrd() as { spec: { versions: [Schema] } }).spec.versions[0]
const root = (version['schema'] as { openAPIV3Schema: Schema }).openAPIV3Schema

/** Every schema of the CRD with its path. */
function* schemas(schema: Schema, path = ''): Generator<[string, Schema]> {
  yield [path, schema]
  for (const [name, child] of Object.entries((schema['properties'] ?? {}) as Record<string, Schema>))
    yield* schemas(child, `${path}.${name}`)
  if (schema['items']) yield* schemas(schema['items'] as Schema, `${path}[]`)
  if (typeof schema['additionalProperties'] === 'object')
    yield* schemas(schema['additionalProperties'] as Schema, `${path}{}`)
}
const all = [...schemas(root)]
const where = (bad: (schema: Schema, path: string) => boolean) =>
  all.filter(([path, schema]) => bad(schema, path)).map(([path]) => path)

test('the walk sees the whole schema', () => {
  expect(all.length).toBeGreaterThan(80)
  const paths = all.map(([path]) => path)
  for (const path of ['.spec.rest.baseUrl', '.spec.events[].http.url', '.status.conditions[].reason'])
    expect(paths).toContain(path)
})

test('every field that a user can write or read is described', () => {
  const about = (path: string) => path.startsWith('.spec') || path.startsWith('.status')
  const fields = where((schema, path) => about(path) && !/(\{\}|\[\])$/.test(path) && !schema['description'])
  expect(fields).toEqual([])
})

test('it is structural: the keywords that the API server refuses are absent', () => {
  const refused = [
    '$ref',
    '$schema',
    'oneOf',
    'anyOf',
    'allOf',
    'not',
    'const',
    'definitions',
    '$defs',
    'patternProperties',
    'propertyNames',
    'id',
    '$id',
    'exclusiveMinimum',
    'nullable',
    'dependencies',
    'deprecated',
    'additionalItems',
  ]
  expect(where((schema) => refused.some((keyword) => keyword in schema))).toEqual([])
  expect(where((schema) => 'properties' in schema && 'additionalProperties' in schema)).toEqual([])
  expect(where((schema) => schema['additionalProperties'] === false)).toEqual([])
  expect(where((schema) => Array.isArray(schema['type']))).toEqual([])
  expect(where((schema) => schema['uniqueItems'] === true)).toEqual([])
})

test('every schema has a type, or is int-or-string; every list its items', () => {
  expect(where((schema) => schema['type'] === undefined && schema['x-kubernetes-int-or-string'] !== true)).toEqual([])
  expect(where((schema) => schema['type'] === 'array' && schema['items'] === undefined)).toEqual([])
  expect(
    where((schema) => schema['type'] === 'integer' && !['int32', 'int64'].includes(String(schema['format']))),
  ).toEqual([])
})

test('keys of list-maps are required or defaulted strings and integers', () => {
  const maps = all.filter(([, schema]) => schema['x-kubernetes-list-type'] === 'map')
  expect(maps.length).toBeGreaterThanOrEqual(3)
  for (const [path, schema] of maps) {
    const items = schema['items'] as { properties: Schema; required?: string[] }
    for (const key of schema['x-kubernetes-list-map-keys'] as string[]) {
      expect(items.properties, path).toHaveProperty(key)
      expect(items.required, path).toContain(key)
    }
  }
})

test('defaults are where the API server fills them in, and a field with one is not required', () => {
  const spec = (root['properties'] as { spec: Schema }).spec
  expect(spec['required']).toEqual(expect.arrayContaining(['tokenSecretRef', 'rest', 'gateway', 'events']))
  for (const [path, schema] of all) {
    const properties = (schema['properties'] ?? {}) as Record<string, Schema>
    for (const name of (schema['required'] ?? []) as string[])
      expect(properties[name] && 'default' in properties[name], `${path}.${name}`).toBe(false)
  }
})

test('the scale subresource and the columns point to fields that exist', () => {
  const { scale } = version['subresources'] as { scale: Record<string, string> }
  const columns = version['additionalPrinterColumns'] as { jsonPath: string }[]
  const paths = new Set(all.map(([path]) => path))
  for (const path of [...Object.values(scale), ...columns.map(({ jsonPath }) => jsonPath)]) {
    const field = path.replace(/\[\?\([^)]*\)\]/, '[]')
    if (!field.startsWith('.metadata')) expect(paths).toContain(field)
  }
})
