import { afterAll, beforeAll, expect, test } from 'vitest'
import { shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { type CrdServer, type Json, manifest, refusal, sinks, startCrdServer } from './crd-server.ts'

/** What the CRD refuses on a real API server, and that it says why. */

let server: CrdServer
beforeAll(async () => {
  server = await startCrdServer()
})
afterAll(() => server?.stop())

const capacity = /totalShards do not fit on the workers: raise totalWorkers or shardsPerWorker until/
const intents = /each intent must be a bit field or one of Guilds, GuildMembers, .*DirectMessagePolls/
const set = (path: string, value: unknown) => (spec: Json) => {
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  const at = keys.reduce((object, key) => {
    object[key] ??= {}
    return object[key] as Json
  }, spec)
  at[last] = value
}

/** What a rule over several fields says; the TypeScript types leave these to the API server and the manager. */
const RULES: [string, (spec: Json) => void, RegExp][] = [
  ['more shards than fit', set('totalShards', 21), capacity],
  ['a count that is no multiple', set('gateway.shardMultiple', 15), /must be a multiple of gateway.shardMultiple/],
]

/** What a limit says; the TypeScript types refuse the same. */
const LIMITS: [string, (spec: Json) => void, RegExp][] = [
  ['an unknown intent', set('gateway.intents', ['Guild']), intents],
  ['a number as text', set('gateway.intents', ['1']), intents],
  ['a negative bit field', set('gateway.intents', [-1]), intents],
  ['a bit field with bit 31', set('gateway.intents', [2 ** 31]), intents],
  ['no intents', set('gateway.intents', []), /gateway.intents.*at least 1 items/],
  ['no shards', set('totalShards', 0), /totalShards.*greater than or equal to 1/],
  ['too many shards', set('totalShards', 100_001), /totalShards.*less than or equal to 100000/],
  ['half a shard', set('totalShards', 1.5), /totalShards.* must be of type int32/],
  ['no workers', set('totalWorkers', 0), /totalWorkers.*greater than or equal to 1/],
  ['too many workers', set('totalWorkers', 1001), /totalWorkers.*less than or equal to 1000/],
  ['an empty worker', set('shardsPerWorker', 0), /shardsPerWorker.*greater than or equal to 1/],
  ['a crowded worker', set('shardsPerWorker', 5001), /shardsPerWorker.*less than or equal to 5000/],
  ['no name of the token', set('tokenSecretRef', { key: 'token' }), /tokenSecretRef.name: Required value/],
  ['an empty name of the token', set('tokenSecretRef.name', ''), /tokenSecretRef.name.*at least 1 chars/],
  ['no REST proxy', (spec) => delete spec['rest'], /spec.rest: Required value/],
  ['a REST proxy without scheme', set('rest.baseUrl', 'rest-proxy:8000'), /baseUrl.*should match/],
  ['an impatient REST proxy', set('rest.timeoutSeconds', 0), /timeoutSeconds.*greater than or equal to 1/],
  ['an old gateway', set('gateway.version', 8), /gateway.version.*greater than or equal to 9/],
  [
    'an unknown compression',
    set('gateway.compression', 'zlib'),
    /Unsupported value: "zlib".*"None", "ZlibStream", "ZstdStream"/,
  ],
  ['an unknown order', set('identify.order', 'spread'), /Unsupported value: "spread".*"Spread", "Strict"/],
  ['a negative reserve', set('identify.reserve', -1), /reserve.*greater than or equal to 0/],
  ['a window of nothing', set('identify.windowMilliseconds', 10), /windowMilliseconds.*greater than or equal to 50/],
  ['no sink', set('events', []), /events.*at least 1 items/],
  ['a sink without a URL', set('events', [{ name: 'bot', http: {} }]), /http.url: Required value/],
  ['a sink with capitals', set('events', [{ name: 'Bot', http: { url: 'http://b/' } }]), /name.*should match/],
  ['a sink of no kind', set('events', [{ name: 'bot' }]), /exactly one of http, nats, redis, rabbitmq/],
  [
    'a sink of two kinds',
    set('events', [{ name: 'bot', http: { url: 'http://b/' }, redis: { url: 'redis://r' } }]),
    /exactly one of http, nats, redis, rabbitmq/,
  ],
  [
    'include beside exclude',
    set('events', [{ name: 'bot', http: { url: 'http://b/' }, include: ['A'], exclude: ['B'] }]),
    /include or exclude, not both/,
  ],
  [
    'a password in a URL',
    set('events', [{ name: 'bot', rabbitmq: { url: 'amqp://me:secret@rabbitmq' } }]),
    /rabbitmq.url.*should match/,
  ],
  [
    'two ways to trim',
    set('events', [{ name: 'bot', redis: { url: 'redis://r', maxLength: 1, maxAgeSeconds: 1 } }]),
    /maxLength or maxAgeSeconds, not both/,
  ],
  ['nine sinks', set('events', sinks(9)), /events.*at most 8 items/],
  ['no threads', set('worker.threads', 0), /threads.*greater than or equal to 1/],
  ['an unknown level', set('worker.logLevel', 'verbose'), /Unsupported value: "verbose"/],
  ['no time to drain', set('worker.terminationGracePeriodSeconds', 1), /Seconds.*greater than or equal to 5/],
]

test.for([...RULES, ...LIMITS])('%s', async ([, change, sentence]) => {
  expect(await refusal(server.create(manifest('refused', change), '--dry-run=server'))).toMatch(sentence)
})

test.for(LIMITS)('the TypeScript types refuse %s, too', ([, change]) => {
  expect(shardClusterSchema.safeParse(manifest('accepted')).success).toBe(true)
  expect(shardClusterSchema.safeParse(manifest('refused', change)).success).toBe(false)
})

test.for([
  ['a name of 41 characters', 'a'.repeat(41)],
  ['a name with a dot', 'bot.one'],
] as const)('%s', async ([, name]) => {
  const said = await refusal(server.create(manifest(name), '--dry-run=server'))
  expect(said).toContain('the name must have at most 40 characters and no dots')
  expect(shardClusterSchema.safeParse(manifest(name)).success).toBe(false)
  await server.create(manifest('a'.repeat(40)), '--dry-run=server')
})

test('two sinks of one name', async () => {
  const twice = manifest('twice', set('events', [...sinks(1), ...sinks(1)]))
  expect(await refusal(server.create(twice, '--dry-run=server'))).toMatch(/Duplicate value.*"name":"sink-0"/)
})

test('a field that does not exist, by its path', async () => {
  const misspelt = manifest('misspelt', set('identify.reserv', 5))
  expect(await refusal(server.create(misspelt, '--validate=strict'))).toContain('unknown field "spec.identify.reserv"')
  expect(shardClusterSchema.safeParse(misspelt).success).toBe(false)
})
