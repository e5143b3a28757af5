import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { agedSession } from '../../src/domain/saved-session.ts'
import type { SessionStore } from '../../src/manager/ports.ts'
import { betterSession, type Session } from '../../src/protocol/session.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { secrets } from '../kube/resources.ts'
import {
  readSessionsSecret,
  sessionsSecret,
  sessionsSecretName,
  UnreadableSessionsError,
} from '../manifests/sessions-secret.ts'
import type { SecretObject } from './objects.ts'
import { notOurs, strangerOf } from './ownership.ts'

export interface StoreOptions {
  readonly client: ObjectClient
  readonly clock: Clock
  /** As it is now: who the Secrets belong to, and how many workers there may be. */
  readonly cluster: () => ShardCluster
  /** undefined as long as it is not known: then nothing was saved. */
  readonly totalShards: () => number | undefined
  /** What one Secret holds cannot be used, and why, without a word of it. Its shards start anew. */
  readonly onUnreadable: (secret: string, why: string) => void
}

/** Secrets that are read at once. */
const AT_ONCE = 8

/** Sessions in a Secret per worker, read by name: listing Secrets would be too much of a right. */
export function secretSessionStore({ client, clock, cluster, totalShards, onUnreadable }: StoreOptions): SessionStore {
  const ours = new Set<string>()
  return {
    async load() {
      const count = totalShards()
      if (count === undefined) return []
      const owner = cluster()
      const ordinals = ordinalsOf(owner)
      const read = async (ordinal: number) => {
        const { namespace } = owner.metadata
        const name = sessionsSecretName(owner, count, ordinal)
        const secret = await client.get<SecretObject>(secrets, { namespace, name })
        const stranger = secret && strangerOf(secret, owner)
        if (stranger !== undefined) {
          onUnreadable(name, `it belongs to ${stranger}`)
          return []
        }
        ours.add(name)
        const saved = await readSessionsSecret(secret?.data, count).catch((error: unknown) => {
          if (!(error instanceof UnreadableSessionsError)) throw error
          onUnreadable(name, error.message)
        })
        if (!saved) return []
        // Another replica's clock may run ahead: nothing was saved in the future.
        const ageMs = Math.max(0, clock.date().getTime() - saved.savedAt)
        const everyMs = owner.spec.sessions.saveIntervalSeconds * 1_000
        return saved.sessions.map((session) => agedSession(session, ageMs, everyMs))
      }
      // One a shard: as many Secrets as there are workers could name every shard each.
      const found = new Map<number, Session>()
      for (let i = 0; i < ordinals.length; i += AT_ONCE)
        for (const session of (await Promise.all(ordinals.slice(i, i + AT_ONCE).map(read))).flat()) {
          const known = found.get(session.shardId)
          found.set(session.shardId, known ? betterSession(known, session) : session)
        }
      return [...found.values()]
    },
    async save(ordinal, sessions) {
      const count = totalShards()
      if (count === undefined) return
      const owner = cluster()
      const name = sessionsSecretName(owner, count, ordinal)
      // Looked at once, here or when it was read: what is ours, or nobody's, becomes ours and stays so.
      if (!ours.has(name)) {
        const there = await client.get(secrets, { namespace: owner.metadata.namespace, name })
        const stranger = there && strangerOf(there, owner)
        if (stranger !== undefined) throw new Error(notOurs('Secret', name, stranger))
      }
      const saved = { savedAt: clock.date().getTime(), sessions }
      await client.apply(secrets, sessionsSecret(owner, count, ordinal, saved))
      ours.add(name)
    },
  }
}

/** Workers that are wanted, and those that status still shows: a scale may have been under way. */
function ordinalsOf({ spec, status }: ShardCluster): number[] {
  const known = status?.workerStatuses?.map(({ ordinal }) => ordinal) ?? []
  return [...new Set([...Array(spec.totalWorkers).keys(), ...known])]
}
