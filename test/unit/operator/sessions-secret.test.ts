import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { labelsOf } from '../../../operator/manifests/names.ts'
import {
  readSessionsSecret,
  sessionsSecret,
  UnreadableSessionsError,
} from '../../../operator/manifests/sessions-secret.ts'
import type { SavedSession } from '../../../src/manager/ports.ts'
import type { SavedSessions } from '../../../src/manager/saved-sessions.ts'
import { runs } from '../../support/fuzz.ts'
import { cluster } from './world.ts'

/** As Discord makes them: an id that does not compress, and a host of the shard's own. */
const sessions = (count: number): SavedSession[] =>
  Array.from({ length: count }, (_, shardId) => ({
    shardId,
    sessionId: randomBytes(16).toString('hex'),
    resumeGatewayUrl: `wss://gateway-us-east1-${'bcd'[shardId % 3]}.discord.gg`,
    sequence: 1_000_000 + ((shardId * 7_919) % 900_000),
    totalShards: count,
    lastContactMsAgo: shardId % 41,
    connected: shardId % 2 === 0,
  }))
const secretOf = (count: number) => {
  const saved = { savedAt: Date.UTC(2026, 0, 1), sessions: sessions(count) }
  return { saved, secret: sessionsSecret(cluster(), count, 1, saved) }
}

describe('the Secret with the sessions of a worker', () => {
  it('is read as it was written', async () => {
    const { saved, secret } = secretOf(16)
    expect(await readSessionsSecret(secret.data, 16)).toEqual(saved)
  })

  it('belongs to the ShardCluster, bears its labels and those of its set, and is of a name of its own', () => {
    const { metadata, type } = secretOf(16).secret
    expect(metadata).toMatchObject({
      name: 'bot-16-sessions-1',
      namespace: 'prod',
      ownerReferences: [{ kind: 'ShardCluster', name: 'bot', uid: 'uid-of-bot', controller: true }],
    })
    expect(metadata.labels).toEqual({ ...labelsOf(cluster()), 'shardcluster.dev/total-shards': '16' })
    expect(type).toBe('Opaque')
  })

  it('has room for 5,000 sessions: a Secret takes 1 MiB', async () => {
    const { saved, secret } = secretOf(5_000)
    expect(JSON.stringify(saved).length).toBeGreaterThan(900_000)
    expect(JSON.stringify(secret).length).toBeLessThan(512 * 1_024)
    expect((await readSessionsSecret(secret.data, 5_000))?.sessions).toHaveLength(5_000)
  })

  const packed = (text: string) => ({ 'sessions.json.gz': gzipSync(text).toString('base64') })
  it.each([
    ['no Secret', undefined],
    ['another key', { other: 'x' }],
  ])('is nothing when there is none: %s', async (_, data) => {
    expect(await readSessionsSecret(data, 16)).toBeUndefined()
  })

  const of = (shardId: number) => ({ ...sessions(1)[0], shardId })
  const savedOf = (...shardIds: number[]) => JSON.stringify({ savedAt: 1, sessions: shardIds.map(of) })
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20), { level: 9 }).toString('base64')
  it.each<[string, Record<string, string>, RegExp]>([
    ['no base64', { 'sessions.json.gz': '%%%' }, /not gzip/],
    ['not compressed', { 'sessions.json.gz': Buffer.from('{}').toString('base64') }, /not gzip/],
    ['half of it', { 'sessions.json.gz': secretOf(3).secret.data['sessions.json.gz'].slice(0, 40) }, /not gzip/],
    ['no JSON', packed('sessions'), /not JSON/],
    ['null', packed('null'), /no saved sessions/],
    ['other JSON', packed('{"savedAt":1}'), /no saved sessions/],
    ['saved at no time', packed('{"savedAt":1e300,"sessions":[]}'), /no saved sessions/],
    ['a session that is none', packed('{"savedAt":1,"sessions":[{"shardId":-1}]}'), /no saved sessions/],
    ['a session of a shard that is not there', packed(savedOf(0, 16)), /^a session of shard 16 of 16$/],
    ['more sessions than shards', packed(savedOf(...Array(17).keys())), /^17 sessions of 16 shards$/],
    ['64 MB of spaces in 64 KB', { 'sessions.json.gz': bomb }, /^more than 33792 bytes$/],
  ])('is refused when it cannot be read, in words that say nothing of it: %s', async (_, data, why) => {
    const error = await readSessionsSecret(data, 16).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UnreadableSessionsError)
    expect((error as Error).message).toMatch(why)
  })

  it('that inflates is read to its bound, however many shards there are', async () => {
    const error = await readSessionsSecret({ 'sessions.json.gz': bomb }, 100_000).catch((error: unknown) => error)
    expect((error as Error).message).toBe(`more than ${8 * 1024 * 1024} bytes`)
  })

  it('never throws anything else, whatever it holds', async () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom(...sessions(3)))
    const saved = fc.record({ savedAt: fc.oneof(fc.double(), fc.jsonValue()), sessions: fc.array(value) })
    const text = fc.oneof(
      saved.map((json) => JSON.stringify(json)),
      fc.json(),
      fc.string(),
    )
    const data = fc.oneof(
      text.map(packed),
      fc.base64String().map((base64) => ({ 'sessions.json.gz': base64 })),
    )
    await fc.assert(
      fc.asyncProperty(data, async (data) => {
        const read = await readSessionsSecret(data, 3).catch((error: unknown) => error)
        if (read instanceof UnreadableSessionsError) return
        expect((read as SavedSessions).sessions.length).toBeLessThanOrEqual(3)
      }),
      { seed: 7, numRuns: runs(500) },
    )
  })
})
