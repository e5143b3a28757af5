import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Session, sessionSchema } from '../src/protocol/session.ts'

const NAME = 'sessions.json'

const fileSchema = z.object({ writtenAt: z.number(), sessions: z.array(sessionSchema) })

/** Writes the sessions for the next process of this pod: as a whole or not at all, readable by its user alone. */
export async function writeSessions(directory: string, sessions: readonly Session[], date: Date): Promise<void> {
  const path = join(directory, NAME)
  const temporary = `${path}.${process.pid}`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(JSON.stringify({ writtenAt: date.getTime(), sessions }))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

/**
 * Reads, and removes, what the former process wrote; each session as old as it is at `date`. A file that is missing or
 * unreadable is no sessions: the manager has its own copy.
 */
export async function takeSessions(directory: string, date: Date): Promise<Session[]> {
  const path = join(directory, NAME)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return []
  await rm(path, { force: true })
  try {
    const { writtenAt, sessions } = fileSchema.parse(JSON.parse(text))
    const age = date.getTime() - writtenAt
    // A wall clock that was set back tells nothing.
    if (age < 0) return []
    return sessions.map((session) => ({ ...session, lastContactMsAgo: session.lastContactMsAgo + age }))
  } catch {
    return []
  }
}
