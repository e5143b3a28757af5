import { promisify } from 'node:util'
import { gunzip, gzipSync } from 'node:zlib'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { FROM_SECRETS } from '../../src/limits.ts'
import { type SavedSessions, savedSessionsSchema } from '../../src/manager/saved-sessions.ts'
import { childMeta, statefulSetName, TOTAL_SHARDS_LABEL } from './names.ts'

const SESSIONS_KEY = 'sessions.json.gz'

/** What stands around the sessions, in bytes, and more. */
const SESSIONS_HEAD_BYTES = 1_024

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

/** Why what was saved is not used: its shards start anew. Says nothing of what the Secret holds. */
export class UnreadableSessionsError extends Error {
  override readonly name = 'UnreadableSessionsError'
}

const inflate = promisify(gunzip)

/**
 * What was saved for a worker of a ShardCluster of so many shards; undefined when nothing was. Whoever may write Secrets
 * wrote it: it is inflated to what so many sessions can have, off the loop that everybody waits for.
 * @throws UnreadableSessionsError when it cannot be read.
 */
export async function readSessionsSecret(
  data: Readonly<Record<string, string>> | undefined,
  totalShards: number,
): Promise<SavedSessions | undefined> {
  const text = data?.[SESSIONS_KEY]
  if (text === undefined) return undefined
  const { sessionBytes, inflatedSessionsBytes } = FROM_SECRETS
  const maxOutputLength = Math.min(inflatedSessionsBytes, SESSIONS_HEAD_BYTES + totalShards * sessionBytes)
  const inflated = await inflate(Buffer.from(text, 'base64'), { maxOutputLength }).catch((error: unknown) => {
    const tooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    throw new UnreadableSessionsError(tooLarge ? `more than ${maxOutputLength} bytes` : 'not gzip')
  })
  return sessionsOf(inflated.toString(), totalShards)
}

function sessionsOf(text: string, totalShards: number): SavedSessions {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new UnreadableSessionsError('not JSON')
  }
  // Before the schema looks at each of them: what it says of a million wrong ones takes more memory than they do.
  const { sessions } = (json ?? {}) as { sessions?: unknown }
  if (Array.isArray(sessions) && sessions.length > totalShards)
    throw new UnreadableSessionsError(`${sessions.length} sessions of ${totalShards} shards`)
  const saved = savedSessionsSchema.safeParse(json)
  if (!saved.success) throw new UnreadableSessionsError('no saved sessions')
  const foreign = saved.data.sessions.find(({ shardId }) => shardId >= totalShards)
  if (foreign) throw new UnreadableSessionsError(`a session of shard ${foreign.shardId} of ${totalShards}`)
  return saved.data
}
