import { z } from 'zod'
import { GROUP, KIND, MAX_NAME_LENGTH, PLURAL, SHORT_NAME, VERSION } from './shard-cluster.ts'
import { specSchema } from './spec.ts'
import { statusSchema } from './status.ts'

/** A JSON Schema as the API server reads it. */
type Schema = { [key: string]: unknown }

/** Keywords that JSON Schema has and a structural schema refuses. */
const REFUSED = ['$schema', 'additionalItems', 'propertyNames', 'id', '$id', 'const', 'patternProperties']

/**
 * Turns what zod prints into a structural schema:
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
function structural(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(structural)
  if (node === null || typeof node !== 'object') return node
  const schema = node as Schema
  if (schema['x-kubernetes-int-or-string'] === true) return pick(schema, ['description', 'x-kubernetes-int-or-string'])
  if (schema['x-kubernetes-preserve-unknown-fields'] === true)
    return { ...pick(schema, ['description', 'x-kubernetes-preserve-unknown-fields']), type: 'object' }
  const result: Schema = {}
  for (const [key, value] of Object.entries(schema)) {
    if (REFUSED.includes(key)) continue
    // The API server prunes or refuses unknown fields by itself; next to `properties` the keyword is not allowed.
    if (key === 'additionalProperties' && (value === false || 'properties' in schema)) continue
    result[key] =
      key === 'properties' ? mapValues(value as Schema, structural) : key === 'default' ? value : structural(value)
  }
  if (result['type'] === 'integer' && result['format'] === undefined) result['format'] = 'int32'
  return result
}

const pick = (schema: Schema, keys: string[]): Schema =>
  Object.fromEntries(keys.filter((key) => key in schema).map((key) => [key, schema[key]]))

const mapValues = (object: Schema, change: (value: unknown) => unknown): Schema =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))

const printed = (schema: z.ZodType): Schema =>
  structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'any' })) as Schema

/** The columns of `kubectl get shc`; 80 characters hold those of priority 0. */
const COLUMNS = [
  { name: 'Shards', type: 'string', jsonPath: '.status.shards', description: 'Connected shards of all shards.' },
  { name: 'Workers', type: 'integer', jsonPath: '.spec.totalWorkers', description: 'Wanted workers.' },
  {
    // Three letters: the longest reason must fit beside it.
    name: 'New',
    type: 'integer',
    jsonPath: '.status.updatedWorkers',
    description: 'Workers of the present pod template: how far a rolling update is.',
  },
  {
    name: 'Ready',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
    description: 'Whether every shard is connected.',
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    description: 'Why it is ready, or not.',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  {
    name: 'Buckets',
    type: 'integer',
    jsonPath: '.status.maxConcurrency',
    priority: 1,
    description: "Discord's max_concurrency.",
  },
  {
    name: 'Budget',
    type: 'integer',
    jsonPath: '.status.identify.remaining',
    priority: 1,
    description: 'IDENTIFYs left today.',
  },
  {
    name: 'ETA',
    type: 'string',
    jsonPath: '.status.identify.estimatedCompletionTime',
    priority: 1,
    description: 'When the last waiting shard identifies.',
  },
  {
    name: 'Image',
    type: 'string',
    jsonPath: '.status.workerImage',
    priority: 1,
    description: 'Image of the present pod template.',
  },
  {
    name: 'Message',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
    priority: 1,
    description: 'The Ready condition in words.',
  },
]

/**
 * Without it kstatus takes an object that no operator has seen yet for one that is done: it has no conditions, and no
 * generation to compare with. Generations begin at 1.
 */
const NEVER_LOOKED_AT = { observedGeneration: 0 }

/** The CustomResourceDefinition, complete. */
export function shardClusterCrd(): Schema {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${PLURAL}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: PLURAL,
        singular: KIND.toLowerCase(),
        shortNames: [SHORT_NAME],
        categories: ['discord'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.totalWorkers',
              statusReplicasPath: '.status.workers',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              description:
                "The Discord gateway of one bot: its shards, spread over worker pods, identified within Discord's limits.",
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: `${GROUP}/${VERSION}` },
                kind: { type: 'string', description: KIND },
                metadata: { type: 'object' },
                spec: printed(specSchema),
                status: { ...printed(statusSchema), default: NEVER_LOOKED_AT },
              },
              'x-kubernetes-validations': [
                {
                  rule: `size(self.metadata.name) <= ${MAX_NAME_LENGTH} && !self.metadata.name.contains('.')`,
                  message: `the name must have at most ${MAX_NAME_LENGTH} characters and no dots: pods and services are named after it`,
                },
              ],
            },
          },
        },
      ],
    },
  }
}
