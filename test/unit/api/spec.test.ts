import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { shardClusterSchema } from '../../../src/api/shard-cluster.ts'

const manifest = (spec = {}, name = 'bot') => ({
  apiVersion: 'shardcluster.dev/v1alpha1',
  kind: 'ShardCluster',
  metadata: { name },
  spec: {
    totalShards: 5_000,
    totalWorkers: 10,
    tokenSecretRef: { name: 'bot' },
    rest: { baseUrl: 'http://rest-proxy:8000' },
    gateway: { intents: ['Guilds', 512] },
    events: [{ name: 'bot', http: { url: 'http://bot:8080/' } }],
    ...spec,
  },
})

test('the least manifest is complete once the defaults are in', () => {
  const { spec } = shardClusterSchema.parse(manifest({ totalShards: undefined, totalWorkers: undefined }))
  expect(spec).toMatchObject({
    ...{ totalWorkers: 1, shardsPerWorker: 500, tokenSecretRef: { name: 'bot', key: 'token' } },
    rest: { baseUrl: 'http://rest-proxy:8000', timeoutSeconds: 10 },
    gateway: { version: 10, compression: 'None' },
    identify: { reserve: 100, order: 'Spread', windowMilliseconds: 5_000 },
    worker: { threads: 1, logLevel: 'info', terminationGracePeriodSeconds: 60 },
  })
  expect(spec.totalShards).toBeUndefined()
})

const gateway = { intents: ['Guilds'] }
const event = { name: 'bot', http: { url: 'http://bot:8080/' } }

describe('refused, in a sentence that names the field', () => {
  test.each([
    ['an unknown field', { totalShard: 5 }, /"totalShard"/],
    ['no shard', { totalShards: 0 }, /spec\.totalShards/],
    ['half a shard', { totalShards: 1.5 }, /spec\.totalShards/],
    ['too many workers', { totalWorkers: 1_001 }, /1000[\s\S]*spec\.totalWorkers/],
    [
      'a REST proxy without scheme',
      { rest: { baseUrl: 'rest-proxy:8000' } },
      /must be an http:\/\/ or https:\/\/ URL[\s\S]*spec\.rest\.baseUrl/,
    ],
    ['an unknown intent', { gateway: { intents: ['Guild'] } }, /spec\.gateway\.intents\[0\]/],
    ['a negative bit field', { gateway: { intents: [-1] } }, /spec\.gateway\.intents\[0\]/],
    ['no intent', { gateway: { intents: [] } }, /spec\.gateway\.intents/],
    [
      'an unknown compression',
      { gateway: { ...gateway, compression: 'Zlib' } },
      /"None"\|"ZlibStream"[\s\S]*spec\.gateway\.compression/,
    ],
    ['gateway version 8', { gateway: { ...gateway, version: 8 } }, /spec\.gateway\.version/],
    ['a negative reserve', { identify: { reserve: -1 } }, /spec\.identify\.reserve/],
    ['an unknown order', { identify: { order: 'spread' } }, /"Spread"\|"Strict"/],
    ['no sink', { events: [] }, /spec\.events/],
    [
      'a sink name that is no label',
      { events: [{ ...event, name: 'My_Bot' }] },
      /lower case letters[\s\S]*spec\.events\[0\]\.name/,
    ],
    ['a sink with ftp', { events: [{ ...event, http: { url: 'ftp://bot' } }] }, /spec\.events\[0\]\.http\.url/],
    ['a sink of no kind', { events: [{ name: 'bot' }] }, /exactly one of http, nats, redis, rabbitmq/],
    ['a sink of two kinds', { events: [{ ...event, redis: { url: 'redis://r' } }] }, /exactly one of/],
    [
      'include beside exclude',
      { events: [{ ...event, include: ['A'], exclude: ['B'] }] },
      /include or exclude, not both/,
    ],
    ['an event in lower case', { events: [{ ...event, include: ['ready'] }] }, /must be the name of an event/],
    [
      'a password in a URL',
      { events: [{ name: 'bot', rabbitmq: { url: 'amqp://me:secret@rabbitmq' } }] },
      /without user and password: put those into a Secret[\s\S]*events\[0\]\.rabbitmq\.url/,
    ],
    ['a NATS server over http', { events: [{ name: 'bot', nats: { servers: ['http://nats'] } }] }, /nats, tls/],
    [
      'an unknown placeholder',
      { events: [{ name: 'bot', nats: { servers: ['nats://n'], subject: 'd.{guild}' } }] },
      /placeholders are \{type\}/,
    ],
    [
      'a subject with a wild card',
      { events: [{ name: 'bot', nats: { servers: ['nats://n'], subject: 'd.*' } }] },
      /subject/,
    ],
    [
      'two ways to trim',
      { events: [{ name: 'bot', redis: { url: 'redis://r', maxLength: 1, maxAgeSeconds: 1 } }] },
      /maxLength or maxAgeSeconds, not both/,
    ],
    ['no token', { tokenSecretRef: undefined }, /spec\.tokenSecretRef/],
    ['no thread', { worker: { threads: 0 } }, /spec\.worker\.threads/],
  ])('%s', (_, spec, message) => {
    const parsed = shardClusterSchema.safeParse(manifest(spec))
    expect(parsed.success).toBe(false)
    expect(parsed.error && z.prettifyError(parsed.error)).toMatch(message)
  })

  test.each(['Bot', 'my.bot', '-bot', 'b'.repeat(41)])('the name %s', (name) => {
    const parsed = shardClusterSchema.safeParse(manifest({}, name))
    expect(parsed.error && z.prettifyError(parsed.error)).toMatch(/metadata\.name/)
  })

  test('another kind', () => {
    expect(shardClusterSchema.safeParse({ ...manifest(), kind: 'Deployment' }).success).toBe(false)
  })
})
