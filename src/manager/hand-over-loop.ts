import { epochOf } from '../domain/epoch.ts'
import { type HandOverPlan, planHandOver, type Target, type WorkerFacts } from '../domain/hand-over.ts'
import { contains, type Range, rangeText, shardsOf } from '../domain/ranges.ts'
import type { GatewayOptions } from '../protocol/commands.ts'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { SessionLedger } from './session-ledger.ts'
import type { WorkerLink } from './worker-link.ts'

export interface HandOverOptions {
  readonly cluster: string
  readonly clock: Clock
  readonly logger: Logger
  readonly links: ReadonlyMap<number, WorkerLink>
  readonly sessions: SessionLedger
  /** Shards with an IDENTIFY under way that the state streams may not show yet. */
  readonly identifying: ReadonlySet<number>
  readonly term: number
  /** See ManagerOptions. */
  readonly count?: () => number
  /** Aborted when the manager stops. */
  readonly signal: AbortSignal
  /** A command was carried out or refused: plan again. */
  readonly onSettled: () => void
}

const COMMAND_TIMEOUT_MS = 30_000

/** A worker that refused a command is left alone for this long, in milliseconds. */
const REFUSED_PAUSE_MS = 2_000

/** What a worker was last told. */
interface Told {
  readonly epoch: number
  /** A restarted process forgot it. */
  readonly bootId: string | undefined
  readonly range: Range
  readonly withhold: readonly Range[]
  readonly gatewayKey: string
}

/** Shards given to a worker that its state stream does not show yet: it may hold them from the moment they are sent. */
interface Offer {
  readonly epoch: number
  readonly bootId: string | undefined
  readonly shardIds: Set<number>
}

/** Carries out what planHandOver says: one command at a time to each worker, each with a newer epoch. */
export class HandOverLoop {
  readonly #options: HandOverOptions
  readonly #told = new Map<number, Told>()
  readonly #epochs = new Map<number, number>()
  readonly #offers = new Map<number, Offer[]>()
  readonly #busy = new Set<number>()
  /** Told to give up, and not answered: the stream may say that they are gone before the answer brings their sessions. */
  readonly #releasing = new Map<number, ReadonlySet<number>>()
  #counter = 0

  constructor(options: HandOverOptions) {
    this.#options = options
  }

  /** Whether this manager's word was taken by the worker's present process. */
  obeyed(ordinal: number): boolean {
    const told = this.#told.get(ordinal)
    return told !== undefined && told.bootId === this.#options.links.get(ordinal)?.view.bootId
  }

  /** Whether a shard of this worker may identify: the worker took this manager's word, and is not giving the shard up. */
  allowsIdentify(ordinal: number, shardId: number): boolean {
    return this.obeyed(ordinal) && !this.#releasing.get(ordinal)?.has(shardId)
  }

  forget(ordinal: number): void {
    this.#told.delete(ordinal)
    this.#epochs.delete(ordinal)
    this.#offers.delete(ordinal)
  }

  factsOf(ordinal: number): WorkerFacts | undefined {
    const link = this.#options.links.get(ordinal)
    if (!link) return undefined
    const { connected, draining } = link.view
    const assigned = this.obeyed(ordinal) ? this.#told.get(ordinal) : undefined
    const held = new Set([...link.view.held(), ...this.#offered(link), ...(this.#releasing.get(ordinal) ?? [])])
    const identifying = new Set([...link.view.identifying(), ...this.#options.identifying])
    return { ordinal, connected, draining, held, identifying, assigned }
  }

  /** Offers are over when the stream shows what was written after them, or another process. */
  *#offered({ ref, view }: WorkerLink): Generator<number> {
    const offers = this.#offers.get(ref.ordinal) ?? []
    const open = offers.filter(({ epoch, bootId }) => bootId === view.bootId && epoch > view.epoch)
    this.#offers.set(ref.ordinal, open)
    for (const { shardIds } of open) yield* shardIds
  }

  /**
   * The epoch for what is asked of a worker without changing what it holds: this manager's own last one, never what
   * the worker reports, or a deposed manager would go on under the epoch of the one that deposed it.
   */
  epochFor(ordinal: number): number {
    return this.#epochs.get(ordinal) ?? epochOf(this.#options.term, 0)
  }

  /** Whether what the worker reports by now was written after it took these gateway options from this manager. */
  reportsUnder(gatewayKey: string, ordinal: number): boolean {
    const told = this.#told.get(ordinal)
    const view = this.#options.links.get(ordinal)?.view
    return (
      told !== undefined &&
      this.obeyed(ordinal) &&
      told.gatewayKey === gatewayKey &&
      view !== undefined &&
      view.epoch >= told.epoch
    )
  }

  /** Sends the next commands. `gateway` is what `target.gatewayKey` stands for. */
  step(target: Target, gateway: GatewayOptions): void {
    const facts = [...this.#options.links.keys()].map((ordinal) => this.factsOf(ordinal)).filter((f) => f !== undefined)
    const plan = planHandOver(facts, target, this.#busy)
    for (const assign of plan.assigns)
      this.#toWorker(assign.ordinal, (link) => this.#assign(link, assign, target, gateway))
    for (const release of plan.releases)
      this.#toWorker(release.ordinal, (link) => this.#release(link, release.shardIds))
  }

  async #assign(link: WorkerLink, plan: HandOverPlan['assigns'][number], target: Target, gateway: GatewayOptions) {
    const { sessions, clock, logger, cluster } = this.#options
    const { range, withhold } = plan
    const { bootId, shards } = link.view
    const missing = [...shardsOf(range)].filter((s) => !shards.has(s) && !withhold.some((w) => contains(w, s)))
    const command = {
      epoch: this.#nextEpoch(plan.ordinal),
      totalShards: target.totalShards,
      ...range,
      withhold: [...withhold],
      gateway,
      sessions: sessions.resumable(missing, target.totalShards, clock.now()),
    }
    const offer = { epoch: command.epoch, bootId, shardIds: new Set(missing) }
    this.#offers.set(plan.ordinal, [...(this.#offers.get(plan.ordinal) ?? []), offer])
    const answer = await this.#within(link, (signal) => link.ref.port.assign(command, signal))
    if (!answer.ok) {
      if (answer.failure.code !== 'UNKNOWN') offer.shardIds.clear()
      // Perhaps it obeyed and the answer was lost: what it was told before may no longer hold.
      if (answer.failure.code === 'UNKNOWN') this.#told.delete(plan.ordinal)
      return answer.failure
    }
    this.#told.set(plan.ordinal, { epoch: command.epoch, bootId, range, withhold, gatewayKey: target.gatewayKey })
    const about = { cluster, worker: link.ref.name, shards: rangeText(range), sessions: command.sessions.length }
    logger.info(about, 'assigned shards')
    return undefined
  }

  async #release(link: WorkerLink, shardIds: readonly number[]) {
    const { sessions, clock, logger, cluster } = this.#options
    const command = { epoch: this.#nextEpoch(link.ref.ordinal), shardIds: [...shardIds] }
    this.#releasing.set(link.ref.ordinal, new Set(shardIds))
    const answer = await this.#within(link, (signal) => link.ref.port.release(command, signal))
    this.#releasing.delete(link.ref.ordinal)
    if (!answer.ok) return answer.failure
    for (const session of answer.value.sessions) sessions.record(session, false, clock.now())
    // The stream will say so too, but perhaps after the next plan.
    for (const shardId of answer.value.released) {
      link.view.shards.delete(shardId)
      for (const offer of this.#offers.get(link.ref.ordinal) ?? []) offer.shardIds.delete(shardId)
    }
    logger.info({ cluster, worker: link.ref.name, shards: shardIds.length }, 'released shards')
    return undefined
  }

  /** One command at a time; a worker that refused is left alone for a while, however often something else changes. */
  #toWorker(
    ordinal: number,
    command: (link: WorkerLink) => Promise<{ code: string; message: string } | undefined>,
  ): void {
    const { links, clock, logger, cluster, onSettled } = this.#options
    const link = links.get(ordinal)
    if (!link) return
    this.#busy.add(ordinal)
    const settle = () => {
      this.#busy.delete(ordinal)
      onSettled()
    }
    void command(link).then((refused) => {
      if (!refused) return settle()
      link.lastError = refused.message
      logger.warn(
        { cluster, worker: link.ref.name, code: refused.code, why: refused.message },
        'a worker refused a command',
      )
      clock.after(REFUSED_PAUSE_MS, settle)
    })
  }

  /** Gives up when the worker hangs, when it is gone, and when the manager stops. */
  #within<T>(link: WorkerLink, command: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, signal } = this.#options
    return withDeadline(clock, COMMAND_TIMEOUT_MS, [link.signal, signal], command)
  }

  #nextEpoch(ordinal: number): number {
    const { term, count } = this.#options
    const epoch = epochOf(term, count?.() ?? ++this.#counter)
    this.#epochs.set(ordinal, epoch)
    return epoch
  }
}

/** Runs `command` with a signal that aborts after `ms` on the injected clock, or with any of `signals`. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  signals: readonly AbortSignal[],
  command: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const cancel = clock.after(ms, () => late.abort(new Error(`no answer within ${ms / 1000} s`)))
  try {
    return await command(AbortSignal.any([late.signal, ...signals]))
  } finally {
    cancel()
  }
}
