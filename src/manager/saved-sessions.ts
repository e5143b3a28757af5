import { z } from 'zod'
import { sessionSchema } from '../protocol/session.ts'

/** The sessions of one worker as they are kept, wherever that is. */
export const savedSessionsSchema = z.object({
  /** Milliseconds since 1970, on the clock of whoever wrote it. */
  savedAt: z.number(),
  sessions: z.array(sessionSchema.extend({ connected: z.boolean() })).readonly(),
})
export type SavedSessions = z.infer<typeof savedSessionsSchema>
