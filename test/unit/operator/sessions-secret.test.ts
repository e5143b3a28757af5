import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { labelsOf } from '../../../operator/manifests/names.ts'
import { readSessionsSecret, sessionsSecret } from '../../../operator/manifests/sessions-secret.ts'
import type { SavedSession } from '../../../src/manager/ports.ts'
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
  it('is read as it was written', () => {
    const { saved, secret } = secretOf(16)
    expect(readSessionsSecret(secret.data)).toEqual(saved)
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

  it('has room for 5,000 sessions: a Secret takes 1 MiB', () => {
    const { saved, secret } = secretOf(5_000)
    expect(JSON.stringify(saved).length).toBeGreaterThan(900_000)
    expect(JSON.stringify(secret).length).toBeLessThan(512 * 1_024)
    expect(readSessionsSecret(secret.data)?.sessions).toHaveLength(5_000)
  })

  const packed = (text: string) => ({ 'sessions.json.gz': gzipSync(text).toString('base64') })
  it.each([
    ['no Secret', undefined],
    ['another key', { other: 'x' }],
    ['no base64', { 'sessions.json.gz': '%%%' }],
    ['not compressed', { 'sessions.json.gz': Buffer.from('{}').toString('base64') }],
    ['half of it', { 'sessions.json.gz': secretOf(3).secret.data['sessions.json.gz'].slice(0, 40) }],
    ['no JSON', packed('sessions')],
    ['other JSON', packed('{"savedAt":1}')],
    ['a session that is none', packed('{"savedAt":1,"sessions":[{"shardId":-1}]}')],
  ])('is nothing when it cannot be read: %s', (_, data) => {
    expect(readSessionsSecret(data)).toBeUndefined()
  })
})
