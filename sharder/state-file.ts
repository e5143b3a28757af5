import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Session, sessionSchema } from '../src/protocol/session.ts'
import { assignmentSchema } from '../src/protocol/state.ts'

const NAME = 'state.json'

const fileSchema = z.object({
  /** Milliseconds since 1970, on this node's clock. */
  writtenAt: z.number(),
  epoch: z.int().min(0),
  assignment: assignmentSchema.optional(),
  /** The shards that are held, with or without a session. None once the worker has drained. */
  held: z.array(z.int().min(0)),
  /** Sessions of the shards that are held, and of those that were released or drained. */
  sessions: z.array(sessionSchema),
})

/** What a process leaves to the next one in the same pod. */
export type StoredState = Omit<z.infer<typeof fileSchema>, 'writtenAt'>

/** What was found, and how old it is. */
export interface FoundState extends StoredState {
  /** Milliseconds since it was written. */
  readonly ageMs: number
}

/**
 * Writes the state as a whole or not at all, readable by its user alone. Without fsync: what it shall outlive is the
 * process, and the directory does not outlive the node either.
 */
export async function writeState(directory: string, state: StoredState, date: Date): Promise<void> {
  const path = join(directory, NAME)
  const temporary = `${path}.${process.pid}`
  try {
    await writeFile(temporary, JSON.stringify({ writtenAt: date.getTime(), ...state }), { mode: 0o600 })
    await rename(temporary, path)
  } catch (error) {
    // None is better than one that says of a released shard that it is held.
    await rm(path, { force: true })
    throw error
  }
}

/**
 * Reads what the former process wrote; the sessions as old as they are at `date`. A file that is missing or unreadable
 * is no state: the manager has its own copy. It stays where it is until the next is written, because this process may
 * not live that long.
 */
export async function readState(directory: string, date: Date): Promise<FoundState | undefined> {
  const text = await readFile(join(directory, NAME), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { writtenAt, sessions, ...state } = fileSchema.parse(JSON.parse(text))
    const ageMs = date.getTime() - writtenAt
    // A wall clock that was set back tells nothing of the sessions; what was obeyed still holds.
    if (ageMs < 0) return { ...state, held: [], sessions: [], ageMs: Number.POSITIVE_INFINITY }
    const aged: Session[] = sessions.map((each) => ({ ...each, lastContactMsAgo: each.lastContactMsAgo + ageMs }))
    return { ...state, sessions: aged, ageMs }
  } catch {
    return undefined
  }
}
