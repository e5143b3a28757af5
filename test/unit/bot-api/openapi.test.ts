import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { ROUTES } from '../../../src/bot-api/routes.ts'
import { worlds } from './world.ts'

const { start } = worlds()
const FILE = join(import.meta.dirname, '..', '..', '..', 'docs', 'openapi.yaml')

interface Document {
  readonly paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>
  readonly components: { readonly schemas: Record<string, z.core.JSONSchema.JSONSchema> }
}
const document = parse(readFileSync(FILE, 'utf8')) as Document

it('is what the server says of itself, without a key', async () => {
  expect((await (await start()).raw('GET', '/openapi.json', undefined, null)).body).toEqual(document)
})

it('describes each route once', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${method} ${path} ${operationId}`),
  )
  const routes = ROUTES.map(({ method, path, operationId }) => `${method.toLowerCase()} ${path} ${operationId}`)
  expect(described.sort()).toEqual(routes.sort())
  expect(new Set(ROUTES.map(({ operationId }) => operationId)).size).toBe(ROUTES.length)
})

it('refers to nothing that it does not have', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([\w-]+)"/g)]
  expect(references.length).toBeGreaterThan(50)
  for (const [, kind = '', name = ''] of references)
    expect((document.components as Record<string, object>)[kind]).toHaveProperty([name])
})

it('says what is answered: the server’s answers are of its schemas, with no field besides', async () => {
  const world = await start()
  const schemaOf = (name: string) => {
    const defs = JSON.parse(JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'))
    return z.fromJSONSchema({ ...defs[name], $defs: defs })
  }
  const presence = { status: 'online' }
  const answers: [string, number, ReturnType<typeof world.call>][] = [
    ['ShardCluster', 200, world.call('GET', '')],
    ['Shards', 200, world.call('GET', '/shards')],
    ['Shard', 200, world.call('GET', '/shards/0')],
    ['Sent', 200, world.call('PUT', '/shards/0/presence', presence)],
    ['SentOnAll', 200, world.call('PUT', '/presence', presence)],
    ['Error', 404, world.call('GET', '/shards/4')],
    ['Error', 400, world.call('PUT', '/presence', {})],
    ['Error', 401, world.call('GET', '', undefined, null)],
  ]
  for (const [name, expected, answer] of answers) {
    const { status, body } = await answer
    expect(status).toBe(expected)
    expect(schemaOf(name).parse(body)).toEqual(body)
    expect(document.components.schemas[name]).toMatchObject({ additionalProperties: false })
  }
})
