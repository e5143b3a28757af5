import { gunzipSync, gzipSync } from 'node:zlib'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { type SavedSessions, savedSessionsSchema } from '../../src/manager/saved-sessions.ts'
import { childMeta, statefulSetName, TOTAL_SHARDS_LABEL } from './names.ts'

const SESSIONS_KEY = 'sessions.json.gz'

/** A session id lets whoever also has the token take over a session, so it is kept like the token. */
export const sessionsSecretName = (cluster: ShardCluster, totalShards: number, ordinal: number): string =>
  `${statefulSetName(cluster, totalShards)}-sessions-${ordinal}`

/** What one worker held. Compressed: 5,000 sessions are 1.2 MB of JSON, and a Secret takes 1 MiB. */
export function sessionsSecret(cluster: ShardCluster, totalShards: number, ordinal: number, saved: SavedSessions) {
  const labels = { [TOTAL_SHARDS_LABEL]: String(totalShards) }
  return {
    metadata: childMeta(cluster, sessionsSecretName(cluster, totalShards, ordinal), labels),
    type: 'Opaque',
    data: { [SESSIONS_KEY]: gzipSync(JSON.stringify(saved)).toString('base64') },
  }
}

/** What was saved; undefined when nothing was, or it cannot be read: then its shards start anew. */
export function readSessionsSecret(data: Readonly<Record<string, string>> | undefined): SavedSessions | undefined {
  const text = data?.[SESSIONS_KEY]
  if (text === undefined) return undefined
  try {
    return savedSessionsSchema.parse(JSON.parse(gunzipSync(Buffer.from(text, 'base64')).toString()))
  } catch {
    return undefined
  }
}
