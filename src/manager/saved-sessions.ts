import { z } from 'zod'
import { MAX_SHARDS } from '../limits.ts'
import { sessionSchema } from '../protocol/session.ts'

/** The last moment that a Date can be, in milliseconds since 1970. */
const LAST_DATE = 8.64e15

/** The sessions of one worker as they are kept, wherever that is. */
export const savedSessionsSchema = z.object({
  /** Milliseconds since 1970, on the clock of whoever wrote it. */
  savedAt: z.number().min(0).max(LAST_DATE),
  sessions: z
    .array(sessionSchema.extend({ connected: z.boolean() }))
    .max(MAX_SHARDS)
    .readonly(),
})
export type SavedSessions = z.infer<typeof savedSessionsSchema>
