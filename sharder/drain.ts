import { finished } from 'node:stream/promises'
import type { Session } from '../src/protocol/session.ts'
import { type Clock, sleep } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { writeSessions } from './session-file.ts'

/** How long the sinks get to confirm what was read, in milliseconds: less than a pod's usual grace of 30 s. */
export const DRAIN_FLUSH_MS = 20_000

/** How long readers of the state get to read the last record, in milliseconds. */
const LAST_RECORD_MS = 2_000

export interface DrainOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly stateDirectory: string | undefined
  /** Refuses commands, closes the shards, waits for the sinks and says so in the state stream. */
  readonly drainWorker: (flushMs: number) => Promise<readonly Session[]>
  /** State streams that are open. */
  readonly streams: () => readonly NodeJS.ReadableStream[]
  readonly closeServer: () => Promise<unknown>
  readonly closeThreads: () => Promise<void>
}

/**
 * What SIGTERM does: 1. commands are refused; 2. shards close with a code that keeps their sessions; 3. the sinks
 * confirm what was read; 4. the final sessions go to whoever watches, and into the pod's own directory; 5. the end.
 * A step that fails does not keep the next from happening.
 */
export async function drain(options: DrainOptions): Promise<void> {
  const { clock, logger, stateDirectory, drainWorker, streams, closeServer, closeThreads } = options
  logger.info('draining')
  const sessions = await drainWorker(DRAIN_FLUSH_MS)
  if (stateDirectory !== undefined) {
    await writeSessions(stateDirectory, sessions, clock.date()).catch((error: Error) =>
      logger.error({ err: error, stateDirectory }, 'the sessions were not written; the manager has them'),
    )
  }
  const patience = new AbortController()
  const read = Promise.allSettled(streams().map((stream) => finished(stream)))
  await Promise.race([read, sleep(clock, LAST_RECORD_MS, patience.signal)])
  patience.abort()
  await closeServer()
  await closeThreads()
  logger.info({ sessions: sessions.length }, 'drained')
}
