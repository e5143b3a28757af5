import type { Session } from '../src/protocol/session.ts'
import { type Clock, sleep } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import type { StateReaders } from './state-readers.ts'

/** How long the sinks get to confirm what was read, in milliseconds: less than a pod's usual grace of 30 s. */
export const DRAIN_FLUSH_MS = 20_000

/** How long a reader of the state gets at least to take the last record, in milliseconds. */
const LAST_RECORD_MS = 2_000

/** What the other steps of a drain may take together, in milliseconds. */
const OTHER_STEPS_MS = 10_000

/** A new leader is there after this long at most, in milliseconds: a Lease of 15 s runs out, and a process starts. */
const LONGEST_PATIENCE_MS = 30_000

export interface DrainOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** How long it waits for a manager, to drain and with its last word, in milliseconds from the start. */
  readonly patienceMs: number
  /** Who listens, a promise of somebody who does, and of one who took the last word. */
  readonly readers: Pick<StateReaders, 'open' | 'any' | 'told'>
  /** Refuses commands, closes the shards, waits for the sinks and says so in the state stream. */
  readonly drainWorker: (flushMs: number) => Promise<readonly Session[]>
  /** Keeps the final sessions for a process that may follow in this pod. */
  readonly save: () => Promise<void>
  readonly closeServer: () => Promise<unknown>
  readonly closeThreads: () => Promise<void>
}

/** How long a worker whose pod has a grace of `graceMs` can wait for a manager before it must drain. Milliseconds. */
export const patienceOf = (graceMs: number): number =>
  Math.max(0, Math.min(LONGEST_PATIENCE_MS, graceMs - DRAIN_FLUSH_MS - OTHER_STEPS_MS))

/**
 * What SIGTERM does: 1. while nobody listens, the shards go on for a while: their sessions would be lost with the pod,
 * and an operator that was ended by the same node drain has a successor in a moment; 2. commands are refused; 3. shards
 * close with a code that keeps their sessions; 4. the sinks confirm what was read; 5. the final sessions go into the
 * pod's own directory, and to whoever listens: when that one is gone by now, to whoever comes next; 6. the end. A step
 * that fails does not keep the next from happening.
 */
export async function drain(options: DrainOptions): Promise<void> {
  const { clock, logger, readers, drainWorker, save, closeServer, closeThreads } = options
  const patientUntil = clock.now() + options.patienceMs
  if (readers.open.length === 0 && options.patienceMs > 0) {
    logger.info({ patienceMs: options.patienceMs }, 'no manager listens: the shards go on until one does')
    await within(clock, options.patienceMs, readers.any())
  }
  logger.info('draining')
  const sessions = await drainWorker(DRAIN_FLUSH_MS)
  await save()
  const left = Math.max(patientUntil - clock.now(), readers.open.length > 0 ? LAST_RECORD_MS : 0)
  await within(clock, left, readers.told)
  await closeServer()
  await closeThreads()
  logger.info({ sessions: sessions.length }, 'drained')
}

/** Waits for `event`, for `milliseconds` at most. */
async function within(clock: Clock, milliseconds: number, event: Promise<void>): Promise<void> {
  const patience = new AbortController()
  await Promise.race([event, sleep(clock, milliseconds, patience.signal)])
  patience.abort()
}
