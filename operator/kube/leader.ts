import { type Clock, sleep } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import { onAbort } from './call.ts'
import type { LeaseApi } from './lease.ts'
import { LeaseHolder } from './lease-holder.ts'
import type { KubeMetrics } from './metrics.ts'

/** Milliseconds. The defaults of controller-runtime: 15 s, 10 s, 2 s. */
export interface LeaderTiming {
  /** A lease that did not change for this long may be taken. Whole seconds. */
  readonly leaseMs: number
  /** A leader that could not renew for this long stops. Must be well below `leaseMs`. */
  readonly renewMs: number
  /** Between two tries, stretched by up to 1.2 of itself while following. */
  readonly retryMs: number
}

export const LEADER_TIMING: LeaderTiming = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 }
const FOLLOWER_JITTER = 1.2

export interface ElectionOptions {
  readonly leases: LeaseApi
  /** Unique per process, such as the pod's name plus a random suffix: two processes of one identity would both lead. */
  readonly identity: string
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /**
   * The leader's work, run once. It must end soon after the signal aborts, which happens when the election is stopped
   * and, with a dead API server, `renewMs` after the last renewal. `term` grows with every change of leader. `held`
   * says whether the lease is ours by this machine's clock: a process that was suspended runs on for a moment before
   * the timer that aborts its signal fires.
   */
  readonly onStartedLeading: (term: number, signal: AbortSignal, held: () => boolean) => Promise<void>
  /** Called after the work ended, or at once when it does not end in time after a loss. */
  readonly onStoppedLeading: (why: ElectionEnd) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logger: Logger
  readonly metrics?: KubeMetrics
  readonly timing?: LeaderTiming
}

/**
 * `stopped`: the signal aborted. `lost`: the lease went to another or could not be renewed; exit the process.
 * `ended`: the work ended by itself.
 */
export type ElectionEnd = 'stopped' | 'lost' | 'ended'

/**
 * Takes part in one election until it led once or the signal aborts. Rejects with what `onStartedLeading` threw.
 *
 * Steps: 1. follow: look at the Lease each `retryMs`; take it when nobody holds it or when it did not change for its
 * duration. 2. lead: renew each `retryMs`; the work's signal aborts on loss. 3. when the work has ended, empty the
 * Lease, so that the next leader need not wait.
 * Holds: two processes never work at once, as long as the work heeds its signal within `leaseMs - renewMs`; where that
 * is not enough (a process that was suspended), `held` and the term tell the later leader from the earlier one.
 */
export async function elect(options: ElectionOptions, signal: AbortSignal): Promise<ElectionEnd> {
  options.metrics?.leader.set({ name: options.name }, 0)
  const holder = new LeaseHolder(options, options.timing ?? LEADER_TIMING)
  const term = await follow(options, holder, signal)
  return term === undefined ? 'stopped' : lead(options, holder, term, signal)
}

/** The term of the lease once it is ours; undefined when the signal aborted first. */
async function follow(
  { clock, random, logger, timing = LEADER_TIMING }: ElectionOptions,
  holder: LeaseHolder,
  signal: AbortSignal,
): Promise<number | undefined> {
  while (!signal.aborted) {
    try {
      const term = await holder.tryAcquire(signal)
      if (term !== undefined) return term
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error }, 'cannot read or take the leader lease, trying again')
    }
    await sleep(clock, timing.retryMs * (1 + random() * FOLLOWER_JITTER), signal)
  }
  return undefined
}

async function lead(
  options: ElectionOptions,
  holder: LeaseHolder,
  term: number,
  signal: AbortSignal,
): Promise<ElectionEnd> {
  const { clock, logger, metrics, name, timing = LEADER_TIMING } = options
  logger.info({ lease: name, identity: options.identity, term }, 'leading')
  metrics?.leader.set({ name }, 1)
  const leading = new AbortController()
  const unlink = onAbort(signal, () => leading.abort(signal.reason))
  let lost = false
  const work = runWork(options, term, leading.signal, () => !lost && clock.now() < holder.renewedAt + timing.renewMs)
  const lose = () => {
    lost = true
    leading.abort(new Error(`the leader lease "${name}" is lost`))
  }
  const held = await renewWhile(options, holder, work.ended, lose)
  unlink()
  metrics?.leader.set({ name }, 0)
  // Work that does not heed its signal is left alone after this: the lease may go to another now, and the caller
  // must hear of the loss to end the process.
  if (!held) await Promise.race([work.failure, sleep(clock, timing.leaseMs - timing.renewMs)])
  if (held) await holder.release().catch((err) => logger.warn({ err }, 'cannot release the leader lease; it expires'))
  const end = held ? (signal.aborted ? 'stopped' : 'ended') : 'lost'
  logger.info({ lease: name, identity: options.identity, term, end }, 'no longer leading')
  options.onStoppedLeading(end)
  if (held) rethrow(await work.failure)
  return end
}

interface Work {
  /** Aborts when the work is over. */
  readonly ended: AbortSignal
  /** What the work threw, if it did; never rejects. */
  readonly failure: Promise<{ readonly error: unknown } | undefined>
}

function runWork({ onStartedLeading }: ElectionOptions, term: number, signal: AbortSignal, held: () => boolean): Work {
  const over = new AbortController()
  const run = async () => {
    try {
      await onStartedLeading(term, signal, held)
      return undefined
    } catch (error) {
      return { error }
    } finally {
      over.abort()
    }
  }
  return { ended: over.signal, failure: run() }
}

function rethrow(failure: { readonly error: unknown } | undefined): void {
  if (failure) throw failure.error
}

/**
 * Renews until the work has ended (true) or the lease is lost (false). A timer, not the loop, decides that renewing
 * took too long: a call into a black hole must not keep the work going. While the work winds down after a stop the
 * lease is still renewed, so that nobody else starts before it ended.
 */
async function renewWhile(
  { clock, logger, timing = LEADER_TIMING }: ElectionOptions,
  holder: LeaseHolder,
  ended: AbortSignal,
  onLost: () => void,
): Promise<boolean> {
  const over = new AbortController()
  let held = true
  const lose = () => {
    held = false
    over.abort()
    onLost()
  }
  const deadline = () => clock.after(holder.renewedAt + timing.renewMs - clock.now(), lose)
  let cancel = deadline()
  const unlink = onAbort(ended, () => over.abort())
  while (!over.signal.aborted) {
    await sleep(clock, timing.retryMs, over.signal)
    if (over.signal.aborted) break
    const outcome = await Promise.race([holder.renew(over.signal).catch(asOutcome), aborted(over.signal)])
    if (over.signal.aborted) break
    if (outcome === 'renewed') {
      cancel()
      cancel = deadline()
    } else if (outcome === 'taken') lose()
    else logger.warn({ err: outcome }, 'cannot renew the leader lease, trying again')
  }
  cancel()
  unlink()
  return held
}

const asOutcome = (error: unknown): unknown => error

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, resolve))
}
