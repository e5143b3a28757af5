import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { agedSession } from '../domain/saved-session.ts'
import type { SessionStore } from '../manager/ports.ts'
import { savedSessionsSchema } from '../manager/saved-sessions.ts'
import type { Clock } from '../support/clock.ts'

/**
 * Where the sessions of a manifest's ShardClusters outlive a run: below XDG_STATE_HOME (usually ~/.local/state), by the
 * path of the manifest.
 */
export function sessionsFolder(manifest: string, environment: Record<string, string | undefined>): string {
  const home = environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state')
  const key = createHash('sha256').update(resolve(manifest)).digest('hex').slice(0, 16)
  return join(home, 'shardcluster', key)
}

/** Sessions in a file per worker, which only this user can read: what Secrets are in Kubernetes. */
export function fileSessionStore(directory: string, clock: Clock, saveEveryMs: () => number): SessionStore {
  return {
    async load() {
      const names = await readdir(directory).catch(() => [])
      const read = async (name: string) => {
        const parsed = savedSessionsSchema.safeParse(
          jsonOr(await readFile(join(directory, name), 'utf8').catch(() => '')),
        )
        if (!parsed.success) return []
        const ageMs = Math.max(0, clock.date().getTime() - parsed.data.savedAt)
        return parsed.data.sessions.map((session) => agedSession(session, ageMs, saveEveryMs()))
      }
      return (await Promise.all(names.filter((name) => name.endsWith('.json')).map(read))).flat()
    },
    async save(ordinal, sessions) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      // It may be older than this: only its owner may change that, so a folder of somebody else's is refused here.
      await chmod(directory, 0o700)
      const path = join(directory, `sessions-${ordinal}.json`)
      const text = JSON.stringify({ savedAt: clock.date().getTime(), sessions })
      // Made anew: a file that is there already would keep its mode, and a link would be followed.
      await rm(`${path}.new`, { force: true })
      await writeFile(`${path}.new`, text, { mode: 0o600, flag: 'wx' })
      await rename(`${path}.new`, path)
    },
  }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
