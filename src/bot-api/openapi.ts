import { z } from 'zod'
import { API_ERRORS, type ApiErrorCode, errorSchema } from './errors.ts'
import type { Route } from './route.ts'
import { ROUTES } from './routes.ts'
import * as schemas from './schemas.ts'

type Json = { [key: string]: unknown }

/** Schemas with a name of their own; what is sent to the API, and what it answers. */
const BODIES = {
  Payload: schemas.payloadBody,
  Presence: schemas.presenceBody,
  MembersRequest: schemas.membersBody,
  VoiceState: schemas.voiceStateBody,
}
const ANSWERS = {
  ShardCluster: schemas.clusterAnswer,
  Shard: schemas.shardAnswer,
  Shards: schemas.shardsAnswer,
  Sent: schemas.sentAnswer,
  SentOnAll: schemas.allSentAnswer,
  Error: errorSchema,
}
const NAMES = new Map<unknown, string>(
  Object.entries({ ...BODIES, ...ANSWERS }).map(([name, schema]) => [schema, name]),
)

/** How any route may fail. */
const COMMON: readonly ApiErrorCode[] = [
  'INVALID_REQUEST',
  'UNAUTHORIZED',
  'API_DISABLED',
  'REQUEST_TIMEOUT',
  'RATE_LIMITED',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
  'STARTING',
  'NOT_LEADING',
  'KEY_UNREADABLE',
]

/** The API as OpenAPI 3.1, whose schemas are JSON Schema 2020-12: https://spec.openapis.org/oas/v3.1.1.html */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {}
  for (const route of ROUTES)
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) }
  return {
    openapi: '3.1.1',
    info: {
      title: 'ShardCluster: the API for bots',
      version: '1',
      summary: 'From the bot to its shards',
      description:
        'Served by the operator that leads, and by local mode. Each ShardCluster has a key of its own: `spec.api.authorizationSecretRef`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://shardcluster-api:8083', description: 'The Service of a release named shardcluster.' }],
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { ...named(BODIES, 'input'), ...named(ANSWERS, 'output') },
      headers: {
        'Retry-After': { description: 'Seconds, rounded up.', schema: { type: 'integer', minimum: 1 } },
      },
    },
  }
}

function operation({ operationId, summary, description, params, query, body, answers, errors }: Route): Json {
  const parameters = [...parametersOf(params, 'path'), ...parametersOf(query, 'query')]
  const json = (schema: unknown): Json => ({ 'application/json': { schema } })
  return {
    operationId,
    summary,
    description,
    parameters,
    ...(body && { requestBody: { required: true, content: json(referenceTo(body)) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, schema]) => [
          status,
          { description: schema.description ?? '', content: json(referenceTo(schema)) },
        ]),
      ),
      ...refusals([...COMMON, ...errors], json(referenceTo(errorSchema))),
    },
  }
}

function refusals(codes: readonly ApiErrorCode[], content: Json): Json {
  const byStatus = new Map<number, ApiErrorCode[]>()
  for (const code of codes) {
    const { status } = API_ERRORS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const entries = [...byStatus].map(([status, codes]): [string, Json] => {
    const description = codes.map((code) => `\`${code}\`: ${API_ERRORS[code].about}`).join('\n\n')
    const headers = { 'Retry-After': { $ref: '#/components/headers/Retry-After' } }
    return [String(status), { description, ...((status === 429 || status === 503) && { headers }), content }]
  })
  return Object.fromEntries(entries)
}

function parametersOf(schema: z.ZodObject, where: 'path' | 'query'): Json[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input' }) as { properties?: Record<string, Json> }
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: where,
    required: where === 'path',
    description,
    schema: rest,
  }))
}

const referenceTo = (schema: unknown): Json => ({ $ref: uriOf(NAMES.get(schema) ?? 'Unnamed') })
const uriOf = (name: string): string => `#/components/schemas/${name}`

/** Each schema under its name; where one holds another, it refers to it. */
function named(schemasByName: Readonly<Record<string, z.ZodType>>, io: 'input' | 'output'): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(schemasByName)) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { io, uri: uriOf })
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _, $id: __, ...schema }]) => [name, schema as Json]),
  )
}
