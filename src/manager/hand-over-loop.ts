import { epochOf } from '../domain/epoch.ts'
import { type HandOverPlan, newOwner, planHandOver, type Target, type WorkerFacts } from '../domain/hand-over.ts'
import { contains, type Range, rangesFrom, rangeText, shardsOf } from '../domain/ranges.ts'
import type { GatewayOptions } from '../protocol/commands.ts'
import type { Session } from '../protocol/session.ts'
import { background, guarded } from '../support/background.ts'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { ManagerMetrics } from './metrics.ts'
import { Offers } from './offers.ts'
import type { Answer } from './ports.ts'
import type { SessionLedger } from './session-ledger.ts'
import type { SessionSaver } from './session-saver.ts'
import type { WorkerLink } from './worker-link.ts'

export interface HandOverOptions {
  readonly cluster: string
  readonly clock: Clock
  readonly logger: Logger
  readonly links: ReadonlyMap<number, WorkerLink>
  readonly sessions: SessionLedger
  readonly saver: SessionSaver
  readonly metrics: ManagerMetrics
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

/** Carries out what planHandOver says: one command at a time to each worker, each with a newer epoch. */
export class HandOverLoop {
  readonly #options: HandOverOptions
  readonly #told = new Map<number, Told>()
  readonly #epochs = new Map<number, number>()
  readonly #offers = new Offers()
  /** Sessions that a process was given: one that it did not take is not given again. */
  readonly #given = new Map<number, string>()
  readonly #busy = new Set<number>()
  /** When a shard was given up, and by which worker, until it is connected on another. */
  readonly #leftAt = new Map<number, { readonly ordinal: number; readonly at: number }>()
  /** Told to give up, and not answered: the stream may say that they are gone before the answer brings their sessions. */
  readonly #releasing = new Map<number, ReadonlySet<number>>()
  #counter = 0
  #target: Target | undefined

  constructor(options: HandOverOptions) {
    this.#options = options
  }

  /** Whether this manager's word was taken by the worker's present process. */
  obeyed(ordinal: number): boolean {
    const told = this.#told.get(ordinal)
    return told !== undefined && told.bootId === this.#options.links.get(ordinal)?.view.bootId
  }

  /**
   * Whether a shard of this worker may identify: the worker took this manager's word, is not giving the shard up, and
   * has no session of it, be it under way to it or about to be sent.
   */
  allowsIdentify(ordinal: number, shardId: number): boolean {
    const link = this.#options.links.get(ordinal)
    if (!link || !this.obeyed(ordinal) || this.#releasing.get(ordinal)?.has(shardId)) return false
    if (this.#told.get(ordinal)?.withhold.some((range) => contains(range, shardId))) return false
    return !this.#offers.includes(link, shardId) && !this.#owes(link, shardId)
  }

  /** A shard is connected on this worker. */
  arrived(shardId: number, ordinal: number): void {
    const left = this.#leftAt.get(shardId)
    if (!left || left.ordinal === ordinal) return
    const { metrics, cluster, clock } = this.#options
    this.#leftAt.delete(shardId)
    metrics.handedOver(cluster, clock.now() - left.at)
  }

  forget(ordinal: number): void {
    this.#told.delete(ordinal)
    this.#epochs.delete(ordinal)
    this.#offers.forget(ordinal)
  }

  factsOf(ordinal: number): WorkerFacts | undefined {
    const link = this.#options.links.get(ordinal)
    if (!link) return undefined
    const { connected, draining } = link.view
    const assigned = this.obeyed(ordinal) ? this.#told.get(ordinal) : undefined
    const held = new Set([...link.view.held(), ...this.#offers.of(link), ...(this.#releasing.get(ordinal) ?? [])])
    const identifying = new Set([...link.view.identifying(), ...this.#options.identifying])
    const owed = new Set([...link.view.shards.keys()].filter((shardId) => this.#owes(link, shardId)))
    return { ordinal, connected, draining, held, identifying, owed, parted: this.#partedFrom(link), assigned }
  }

  /** Whether the worker waits with a shard for an IDENTIFY that a session it does not know would spare. */
  #owes({ view, ref }: WorkerLink, shardId: number): boolean {
    const record = view.shards.get(shardId)
    if (!view.connected || !this.#target || newOwner(shardId, this.#target) !== ref.ordinal) return false
    if (record?.state !== 'Unidentified' || record.session || this.#options.identifying.has(shardId)) return false
    const session = this.#sessionOf(shardId)
    return session !== undefined && this.#given.get(shardId) !== givenTo(view.bootId, session.sessionId)
  }

  #sessionOf(shardId: number): Session | undefined {
    const { sessions, clock } = this.#options
    return this.#target && sessions.resumable([shardId], this.#target.totalShards, clock.now())[0]
  }

  /** What it gave up and nobody holds yet. */
  #partedFrom({ ref, view }: WorkerLink): ReadonlySet<number> {
    for (const shardId of view.parted) if (this.#arrived(shardId, ref.ordinal)) view.parted.delete(shardId)
    return view.parted
  }

  #arrived(shardId: number, from: number): boolean {
    for (const [ordinal, { view }] of this.#options.links)
      if (ordinal !== from && view.connected && view.shards.has(shardId)) return true
    return this.#sessionOf(shardId) === undefined
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
    this.#target = target
    const facts = [...this.#options.links.keys()].map((ordinal) => this.factsOf(ordinal)).filter((f) => f !== undefined)
    const plan = planHandOver(facts, target, this.#busy)
    for (const assign of plan.assigns)
      this.#toWorker(assign.ordinal, (link) => this.#assign(link, assign, target, gateway))
    for (const release of plan.releases)
      this.#toWorker(release.ordinal, (link) => this.#release(link, release.shardIds))
  }

  async #assign(link: WorkerLink, plan: HandOverPlan['assigns'][number], target: Target, gateway: GatewayOptions) {
    const { sessions, saver } = this.#options
    const { view } = link
    const free = [...shardsOf(plan.range)].filter((s) => !plan.withhold.some((w) => contains(w, s)))
    const without = free.filter((s) => !view.shards.get(s)?.session && view.shards.get(s)?.state !== 'Connected')
    // The word of a new leader must not wait for what was saved, because it voids the permits of the one before; the
    // shards that may be in there do wait.
    const unknown = saver.ready ? [] : without.filter((shardId) => !sessions.knows(shardId))
    if (unknown.length === 0) return this.#tell(link, plan, without, target, gateway)
    const withhold = rangesFrom([...plan.withhold.flatMap((range) => [...shardsOf(range)]), ...unknown])
    const known = without.filter((shardId) => sessions.knows(shardId))
    const refused = await this.#tell(link, { ...plan, withhold }, known, target, gateway)
    if (!refused) await saver.loaded()
    return refused
  }

  /** `without`: shards that are given now, with the sessions that are known, if any. */
  async #tell(
    link: WorkerLink,
    { ordinal, range, withhold }: HandOverPlan['assigns'][number],
    without: readonly number[],
    { totalShards, gatewayKey }: Target,
    gateway: GatewayOptions,
  ) {
    const { sessions, metrics, clock, logger, cluster } = this.#options
    const { bootId } = link.view
    const epoch = this.#nextEpoch(ordinal)
    const takeBack = this.#offers.add(link, epoch, without)
    const given = sessions.resumable(without, totalShards, clock.now())
    for (const { shardId, sessionId } of given) this.#given.set(shardId, givenTo(bootId, sessionId))
    const command = { epoch, totalShards, ...range, withhold: [...withhold], gateway, sessions: given }
    const answer = await this.#within(link, (signal) => link.ref.port.assign(command, signal))
    if (!answer.ok) {
      if (answer.failure.code !== 'UNKNOWN') takeBack()
      for (const { shardId } of given) this.#given.delete(shardId)
      // Perhaps it obeyed and the answer was lost: what it was told before may no longer hold.
      if (answer.failure.code === 'UNKNOWN') this.#told.delete(ordinal)
      return answer.failure
    }
    this.#told.set(ordinal, { epoch, bootId, range, withhold, gatewayKey })
    metrics.assigned(cluster, given.length, without.length - given.length)
    const about = { cluster, worker: link.ref.name, shards: rangeText(range), sessions: given.length }
    logger.info(about, 'assigned shards')
    return undefined
  }

  async #release(link: WorkerLink, shardIds: readonly number[]) {
    const { sessions, clock, logger, cluster } = this.#options
    const command = { epoch: this.#nextEpoch(link.ref.ordinal), shardIds: [...shardIds] }
    for (const shardId of shardIds) this.#leftAt.set(shardId, { ordinal: link.ref.ordinal, at: clock.now() })
    this.#releasing.set(link.ref.ordinal, new Set(shardIds))
    const asked = this.#within(link, (signal) => link.ref.port.release(command, signal))
    const answer = await asked.finally(() => this.#releasing.delete(link.ref.ordinal))
    if (!answer.ok) return answer.failure
    for (const session of answer.value.sessions) sessions.record(session, false, clock.now())
    // The stream will say so too, but perhaps after the next plan.
    for (const shardId of answer.value.released) {
      link.view.shards.delete(shardId)
      link.view.parted.add(shardId)
    }
    this.#offers.drop(link.ref.ordinal, answer.value.released)
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
    const later = () => void clock.after(REFUSED_PAUSE_MS, () => guarded(settle, logger, 'hand-over command'))
    const settled = command(link).then((refused) => {
      if (!refused) return settle()
      link.lastError = refused.message
      const about = { cluster, worker: link.ref.name, code: refused.code, why: refused.message }
      logger.warn(about, 'a worker refused a command')
      later()
    })
    settled.catch(later)
    background(settled, logger, 'hand-over command')
  }

  /** Gives up when the worker hangs, when it is gone, and when the manager stops. */
  #within<T>(link: WorkerLink, command: (signal: AbortSignal) => Promise<Answer<T>>): Promise<Answer<T>> {
    const { clock, signal } = this.#options
    return withDeadline(clock, COMMAND_TIMEOUT_MS, [link.signal, signal], async (given) =>
      link.judged(await command(given)),
    )
  }

  #nextEpoch(ordinal: number): number {
    const { term, count } = this.#options
    const epoch = epochOf(term, count?.() ?? ++this.#counter)
    this.#epochs.set(ordinal, epoch)
    return epoch
  }
}

const givenTo = (bootId: string | undefined, sessionId: string): string => `${bootId}/${sessionId}`

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
