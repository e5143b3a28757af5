import type { Session } from '../protocol/session.ts'

/** A pod goes on this long without its operator before it drains, and some more; in milliseconds. */
const LEAST_UNCERTAIN_MS = 30_000

/**
 * A saved session as old as it may be at least, `ageMs` after it was saved. One that was connected then may have been
 * so until just before the next save: it is tried, because a RESUME that is refused costs nothing but a moment.
 * `saveEveryMs`: the pace of saving; 0: there is none.
 */
export function agedSession(
  { connected, ...session }: Session & { readonly connected: boolean },
  ageMs: number,
  saveEveryMs: number,
): Session {
  const uncertain = connected ? Math.max(LEAST_UNCERTAIN_MS, saveEveryMs) : 0
  return { ...session, lastContactMsAgo: Math.max(0, session.lastContactMsAgo + ageMs - uncertain) }
}
