import type { Grant } from '../domain/identify-schedule.ts'
import type { Identified } from '../protocol/commands.ts'
import type { Failure } from '../protocol/failures.ts'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { withDeadline } from './hand-over-loop.ts'
import type { IdentifyAttempts } from './identify-attempts.ts'
import { identifyCause } from './identify-cause.ts'
import type { IdentifyOutcome } from './identify-source.ts'
import type { ManagerMetrics } from './metrics.ts'
import type { Answer } from './ports.ts'
import type { SessionLedger } from './session-ledger.ts'
import type { WorkerLink } from './worker-link.ts'

export interface PermitOptions {
  /** `namespace/name`. */
  readonly cluster: string
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: ManagerMetrics
  readonly sessions: SessionLedger
  readonly attempts: IdentifyAttempts
  /** Shards whose permit is out; one is taken from it when its answer is there. */
  readonly identifying: Set<number>
  /** Aborted when the manager stops: what was not used is taken back. */
  readonly signal: AbortSignal
  readonly epochFor: (ordinal: number) => number
  readonly onFatalClose: (closeCode: number, shardId: number) => void
}

/** Beyond the slot, a worker may take this long for HELLO, IDENTIFY and READY before nobody waits any more. Milliseconds. */
const IDENTIFY_TIMEOUT_MS = 90_000

/** The request that is held open while a shard identifies: as long as it is, the worker may. */
export class IdentifyPermit {
  readonly #options: PermitOptions

  constructor(options: PermitOptions) {
    this.#options = options
  }

  /** Lets the shard identify on this worker until `signal` takes that back, and says what became of it. */
  async use(
    { candidate: { shardId }, slotAt }: Grant,
    link: WorkerLink,
    signal?: AbortSignal,
  ): Promise<IdentifyOutcome> {
    const { cluster, clock, logger, metrics, sessions, attempts, identifying, onFatalClose } = this.#options
    const known = sessions.knows(shardId)
    const slotInMs = Math.max(0, slotAt - clock.now())
    const before = link.view.shards.get(shardId)
    const askedAt = clock.now()
    const answer = sinceAsked(await this.#ask(shardId, slotInMs, link, signal), clock.now() - askedAt)
    identifying.delete(shardId)
    // The stream will say so too, but perhaps after the next plan, which must not spend a second slot on it. What it
    // said since is newer than this answer may be.
    if (answer.ok && before && link.view.shards.get(shardId) === before)
      link.view.shards.set(shardId, { ...before, state: 'Connected' })
    const outcome = attempts.settle(shardId, answer, clock.now())
    if (outcome.sentAt !== undefined && before) {
      const cause = identifyCause(before, known)
      metrics.identify(cluster, cause, answer.ok ? 'READY' : answer.failure.code)
    }
    if (!answer.ok) {
      logger.warn({ cluster, shardId, ...answer.failure }, 'a shard did not identify')
      if (answer.failure.code === 'FATAL_CLOSE') onFatalClose(answer.failure.closeCode ?? 4004, shardId)
    }
    return outcome
  }

  #ask(shardId: number, slotInMs: number, link: WorkerLink, takenBack: AbortSignal | undefined) {
    const { clock, signal, epochFor } = this.#options
    const signals = [link.signal, signal, ...(takenBack ? [takenBack] : [])]
    const command = { shardId, epoch: epochFor(link.ref.ordinal), slotInMs }
    return withDeadline(clock, slotInMs + IDENTIFY_TIMEOUT_MS, signals, async (given) =>
      link.judged(await link.ref.port.identify(command, given)),
    )
  }
}

/** No IDENTIFY was sent before it was asked for: an age beyond that would say that its bucket is free already. */
function sinceAsked(answer: Answer<Identified>, elapsedMs: number): Answer<Identified> {
  const { identifiedMsAgo } = answer.ok ? answer.value : answer.failure.code === 'UNKNOWN' ? {} : answer.failure
  if (identifiedMsAgo === undefined || identifiedMsAgo <= elapsedMs) return answer
  return answer.ok
    ? { ok: true, value: { ...answer.value, identifiedMsAgo: elapsedMs } }
    : { ok: false, failure: { ...answer.failure, identifiedMsAgo: elapsedMs } as Failure }
}
