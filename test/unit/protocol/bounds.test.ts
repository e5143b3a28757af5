import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { specSchema } from '../../../src/api/spec.ts'
import { savedSessionsSchema } from '../../../src/manager/saved-sessions.ts'
import { sessionInfoSchema } from '../../../src/manager/session-info.ts'
import { assignedSchema, commandSchema, identifiedSchema, releasedSchema } from '../../../src/protocol/commands.ts'
import { failureSchema } from '../../../src/protocol/failures.ts'
import { payloadSentSchema } from '../../../src/protocol/send-payload.ts'
import { sessionSchema } from '../../../src/protocol/session.ts'
import { stateRecordSchema } from '../../../src/protocol/state.ts'
import { extreme, type Node, unbounded, variantsOf } from './json-schema.ts'

/** What comes from outside. `without`: fields that have their bounds elsewhere; say where. */
interface Foreign {
  readonly name: string
  readonly schema: z.ZodType
  readonly without?: readonly string[]
}

/** Every schema of what another process says belongs here. */
const FOREIGN: readonly Foreign[] = [
  {
    name: 'a record of the state stream',
    schema: stateRecordSchema,
    // As the command has it, of which a worker repeats what it was told; only its URL is read.
    without: ['assignment.gateway', 'assignment.withhold.*'],
  },
  { name: 'a session', schema: sessionSchema },
  { name: 'saved sessions', schema: savedSessionsSchema },
  { name: 'a failure', schema: failureSchema },
  { name: 'the answer to IDENTIFY_SHARD', schema: identifiedSchema },
  { name: 'the answer to ASSIGN_SHARDS', schema: assignedSchema },
  { name: 'the answer to RELEASE_SHARDS', schema: releasedSchema },
  { name: 'the answer to SEND_PAYLOAD', schema: payloadSentSchema },
]

const nodeOf = (schema: z.ZodType) => z.toJSONSchema(schema, { unrepresentable: 'any' }) as Node
const GATEWAY = { url: 'wss://gateway.discord.gg', version: 10, intents: 1, compression: 'None' }
/** With what the fields that have their bounds elsewhere need to be right. */
const filled = (value: unknown) => {
  const { assignment } = value as { assignment?: Record<string, unknown> }
  return assignment ? { ...(value as object), assignment: { ...assignment, withhold: [], gateway: GATEWAY } } : value
}

describe.each(FOREIGN)('$name', ({ schema, without }) => {
  const node = nodeOf(schema)

  test('has a bound for every number, text and list', () => {
    expect(unbounded(node, without)).toEqual([])
  })

  const each = Array.from({ length: variantsOf(node) }, (_, variant) => variant)
  test.each(each)('takes its smallest and its largest values (variant %i)', (variant) => {
    for (const which of ['smallest', 'largest'] as const) {
      const parsed = schema.safeParse(filled(extreme(node, which, variant)))
      expect(parsed.error?.issues).toBeUndefined()
    }
  })

  test.each(each)('of what is beyond takes nothing as it is (variant %i)', (variant) => {
    const largest = filled(extreme(node, 'largest', variant))
    for (const path of leaves(largest)) {
      for (const beyond of BEYOND) {
        const said = put(largest, path, beyond)
        const parsed = schema.safeParse(said)
        if (!parsed.success) continue
        const taken = at(parsed.data, path)
        expect(Object.is(taken, beyond), `${path.join('.')}: ${String(beyond).slice(0, 20)}`).toBe(false)
      }
    }
  })
})

/** Their largest and smallest values are fed to them where their own rules are tested. */
test.each<Foreign>([
  { name: 'session info', schema: sessionInfoSchema },
  {
    name: 'a command',
    schema: commandSchema,
    without: [
      // plausibleEpoch, gatewayUrlProblem, payloadProblem; what Discord takes as a presence is Discord's to say, and the body's
      // bytes and depth are bounded.
      ...['epoch', 'gateway.url', 'gateway.intents', 'gateway.presence', 'payload.op', 'payload.d'],
    ],
  },
  {
    name: 'the spec of a ShardCluster',
    schema: specSchema,
    // Parts of a pod, which the API server checks; it takes no object of more than 1.5 MB.
    without: [
      ...['gateway.presence', 'worker.resources.requests', 'worker.resources.limits', 'worker.nodeSelector'],
      ...['worker.tolerations.*', 'worker.affinity', 'worker.topologySpreadConstraints.*'],
      ...['worker.podLabels', 'worker.podAnnotations', 'worker.env.*'],
    ],
  },
])('$name has a bound for every number, text and list', ({ schema, without }) => {
  const node = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as Node
  expect(unbounded(node, without)).toEqual([])
})

test('a schema without bounds is found', () => {
  const schema = z.object({ n: z.number(), i: z.int().min(0), s: z.string(), a: z.array(z.int().min(0).max(1)) })
  const any = z.object({ u: z.unknown(), r: z.record(z.string(), z.int().min(0).max(1)) })
  expect(unbounded(nodeOf(schema))).toEqual([
    ...['n: no minimum', 'n: no maximum', 'i: no maximum', 's: no maximum length', 'a: no maximum of items'],
  ])
  expect(unbounded(nodeOf(any))).toEqual(['u: anything at all', 'r: any number of keys'])
})

/** No bound of ours is as far as these. */
const BEYOND = [1e300, 2 ** 53 - 1, -1e300, -1_000, Number.NaN, 'x'.repeat(100_000)]
type Path = readonly (string | number)[]

/** Numbers and texts, but those that stand in for other schemas. */
function leaves(value: unknown, path: Path = []): Path[] {
  if (path.at(-1) === 'gateway') return []
  if (typeof value === 'number' || typeof value === 'string') return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) => leaves(child, [...path, key]))
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce((inner, key) => (inner as Record<string, unknown>)[key], value)

function put(value: unknown, [key, ...rest]: Path, leaf: unknown): unknown {
  if (key === undefined) return leaf
  const copy = structuredClone(value) as Record<string, unknown>
  copy[key] = put(copy[key], rest, leaf)
  return copy
}
