import { removable, type Target } from '../domain/hand-over.ts'
import type { Candidate, Grant } from '../domain/identify-schedule.ts'
import { ownerOf } from '../domain/ranges.ts'
import { shardCountProblem } from '../domain/shard-count.ts'
import type { Cancel, Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { Candidates } from './candidates.ts'
import type { Fleet } from './fleet.ts'
import { fleetOf } from './fleet-of.ts'
import { gatewayOf, type PresentOptions } from './gateway-of.ts'
import { HandOverLoop, withDeadline } from './hand-over-loop.ts'
import { IdentifyAttempts } from './identify-attempts.ts'
import { identifyCause } from './identify-cause.ts'
import type { IdentifyLane, IdentifyOutcome, IdentifySource } from './identify-lane.ts'
import type { ManagerMetrics } from './metrics.ts'
import type { Desired, SessionStore, WorkerRef } from './ports.ts'
import { SessionLedger } from './session-ledger.ts'
import { SessionSaver } from './session-saver.ts'
import { WorkerLink } from './worker-link.ts'
import type { Changed } from './worker-view.ts'

export interface ManagerOptions {
  /** `namespace/name`. */
  readonly cluster: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lane: IdentifyLane
  /** The leader's term: its epochs are newer than those of all before it. */
  readonly term: number
  /** Numbers the term's commands; shared by managers that follow one another on the same workers. Default: its own. */
  readonly count?: () => number
  readonly metrics: ManagerMetrics
  /** Where sessions outlive everything; none: they do not. */
  readonly store?: SessionStore
  /** The fleet changed. Called often; the callee gathers. */
  readonly onChange: () => void
}

/** Shards released in one go: a shard's gap in a hand-over is about the time this many sockets take to close and open. */
const BATCH = 64

/** Beyond the slot, a worker may take this long for HELLO, IDENTIFY and READY before nobody waits any more. Milliseconds. */
const IDENTIFY_TIMEOUT_MS = 90_000

/**
 * The gateway loop of one ShardCluster, level-triggered: it compares what each worker says it holds with what it
 * shall hold, and sends the next command. Everything it knows it has from the workers: a new one starts from nothing.
 */
export class GatewayManager implements IdentifySource {
  readonly cluster: string
  readonly #options: ManagerOptions
  readonly #links = new Map<number, WorkerLink>()
  readonly #sessions = new SessionLedger()
  readonly #attempts: IdentifyAttempts
  readonly #candidates: Candidates
  readonly #saver: SessionSaver
  readonly #identifying = new Set<number>()
  readonly #stopped = new AbortController()
  readonly #handOver: HandOverLoop
  readonly #unregister: () => void
  #desired: Desired | undefined
  #fatal: Fleet['fatal']
  #planning: Cancel | undefined

  constructor(options: ManagerOptions) {
    this.#options = options
    this.cluster = options.cluster
    this.#attempts = new IdentifyAttempts(options.random)
    this.#candidates = new Candidates({ cluster: this.cluster, sessions: this.#sessions, attempts: this.#attempts })
    const shared = { links: this.#links, sessions: this.#sessions }
    const totalShards = () => this.totalShards
    const owner = (shardId: number) => this.#ownerOf(shardId)
    this.#saver = new SessionSaver({ ...options, ...shared, totalShards, ownerOf: owner, store: options.store })
    this.#handOver = new HandOverLoop({
      ...options,
      ...shared,
      saver: this.#saver,
      identifying: this.#identifying,
      signal: this.#stopped.signal,
      onSettled: () => {
        this.#recount()
        this.#changed()
      },
    })
    this.#unregister = options.lane.register(this)
  }

  get windowMilliseconds(): number {
    return this.#desired?.identify.windowMilliseconds ?? 5_000
  }

  /** undefined until Discord's recommendation is known, where the user gave no number. */
  get totalShards(): number | undefined {
    return this.#desired?.totalShards ?? this.#options.lane.info?.shards
  }

  /** Takes what shall be; the same again changes nothing. */
  configure(desired: Desired): void {
    const before = this.#desired
    this.#desired = desired
    this.#saver.pace(desired.saveSessionsMs)
    if (before && JSON.stringify(before) === JSON.stringify(desired)) return
    if (before && before.remedy !== desired.remedy) {
      this.#fatal = undefined
      this.#attempts.clear()
    }
    this.#recount()
    this.#changed()
  }

  /** Takes the workers that exist. One that is missing is gone: nothing it held lives any more. */
  setWorkers(refs: readonly WorkerRef[]): void {
    const uids = new Map(refs.map(({ ordinal, uid }) => [ordinal, uid]))
    const gone = [...this.#links].filter(([ordinal, link]) => uids.get(ordinal) !== link.ref.uid)
    for (const [ordinal, link] of gone) this.#forget(ordinal, link)
    const fresh = refs.filter(({ ordinal }) => !this.#links.has(ordinal))
    for (const { ordinal, running } of refs) this.#links.get(ordinal)?.running(running ?? true)
    const { clock, random, logger } = this.#options
    for (const ref of fresh) {
      const onChange = (link: WorkerLink, changed: Changed | undefined) => this.#heard(link, changed)
      this.#links.set(ref.ordinal, new WorkerLink({ ref, clock, random, logger, onChange }))
    }
    // Whoever listens for changes may call this again: the same workers are no change.
    if (gone.length > 0 || fresh.length > 0) this.#changed()
  }

  /** Whether a worker beyond `totalWorkers` can be removed: it holds nothing. Of one that is not known, nothing can be said. */
  removable(ordinal: number): boolean {
    const facts = this.#handOver.factsOf(ordinal)
    return facts !== undefined && removable(facts)
  }

  fleet(): Fleet {
    return fleetOf({
      desired: this.#desired,
      totalShards: this.totalShards,
      countProblem: this.#countProblem(),
      links: this.#links,
      attempts: this.#attempts,
      fatal: this.#fatal,
      lane: this.#options.lane,
      clock: this.#options.clock,
    })
  }

  /** Stops watching and takes back every permit that was not used. Shards go on. `save`: another manager follows. */
  async stop(save = false): Promise<void> {
    this.#stopped.abort()
    this.#saver.stop()
    if (save) await this.#saver.saveAll()
    this.#planning?.()
    this.#unregister()
    await Promise.all([...this.#links.values()].map((link) => link.stop()))
  }

  candidates(): Iterable<Candidate> {
    return this.#candidates.all()
  }

  onSessionInfo(): void {
    this.#recount()
    this.#changed()
  }

  async start({ candidate: { shardId }, slotAt }: Grant): Promise<IdentifyOutcome> {
    const { clock, logger, metrics } = this.#options
    const link = this.#linkOf(shardId)
    if (!link) return { sentAt: undefined, tooEarly: false }
    const known = this.#sessions.knows(shardId)
    this.#identifying.add(shardId)
    this.#candidates.remove(shardId)
    const slotInMs = Math.max(0, slotAt - clock.now())
    const before = link.view.shards.get(shardId)
    const command = { shardId, epoch: this.#handOver.epochFor(link.ref.ordinal), slotInMs }
    const answer = await withDeadline(
      clock,
      slotInMs + IDENTIFY_TIMEOUT_MS,
      [link.signal, this.#stopped.signal],
      (signal) => link.ref.port.identify(command, signal),
    )
    this.#identifying.delete(shardId)
    // The stream will say so too, but perhaps after the next plan, which must not spend a second slot on it. What it
    // said since is newer than this answer may be.
    if (answer.ok && before && link.view.shards.get(shardId) === before)
      link.view.shards.set(shardId, { ...before, state: 'Connected' })
    const outcome = this.#attempts.settle(shardId, answer, clock.now())
    if (outcome.sentAt !== undefined && before) {
      const cause = identifyCause(before, known)
      metrics.identify(this.cluster, cause, answer.ok ? 'READY' : answer.failure.code)
    }
    if (!answer.ok) {
      logger.warn({ cluster: this.cluster, shardId, ...answer.failure }, 'a shard did not identify')
      if (answer.failure.code === 'FATAL_CLOSE') this.#freeze(answer.failure.closeCode ?? 4004, shardId)
    }
    this.#recountShard(shardId)
    this.#options.onChange()
    return outcome
  }

  #heard(link: WorkerLink, changed: Changed | undefined): void {
    if (this.#links.get(link.ref.ordinal) !== link) return
    const { view } = link
    const now = this.#options.clock.now()
    if (changed === undefined)
      for (const shardId of view.shards.keys()) this.#sessions.disconnected(shardId, view.lastHeardAt)
    if (view.drained && changed) {
      for (const session of view.finalSessions) this.#sessions.record(session, false, now)
      this.#saver.drained(view.ordinal, view.finalSessions)
    }
    for (const session of changed?.kept ?? []) this.#sessions.offer(session, now)
    for (const shardId of changed?.shardIds ?? []) this.#learn(link, shardId, now)
    if (changed?.structural === false) {
      for (const shardId of changed.shardIds) this.#recountShard(shardId)
      this.#options.onChange()
      return
    }
    this.#recount()
    this.#changed()
  }

  /** Takes what a worker says of one shard: its session, when its IDENTIFY left. */
  #learn(link: WorkerLink, shardId: number, now: number): void {
    const record = link.view.shards.get(shardId)
    if (record?.session) this.#sessions.record(record.session, record.state === 'Connected', now)
    // One that says nothing of a session, in a process that is new, is one that does not know of it.
    else if (record && (record.ended !== undefined || record.recovering)) this.#sessions.end(shardId)
    else if (!record) this.#sessions.disconnected(shardId, now)
    if (!record) return
    if (record.state === 'Identifying' && record.identifiedMsAgo !== undefined) {
      this.#options.lane.sent(this.cluster, shardId, now - record.identifiedMsAgo)
    }
    if (record.state === 'Connected') {
      this.#attempts.connected(shardId)
      this.#handOver.arrived(shardId, link.ref.ordinal)
    }
  }

  /** A fatal close code is a fact about the whole ShardCluster: no more IDENTIFYs, what runs goes on. */
  #freeze(closeCode: number, shardId: number): void {
    if (this.#fatal) return
    this.#fatal = { closeCode, shardId }
    const { logger } = this.#options
    logger.error(
      { cluster: this.cluster, closeCode, shardId },
      'fatal close code: no shard identifies until it is mended',
    )
    this.#recount()
  }

  #forget(ordinal: number, link: WorkerLink): void {
    const { clock } = this.#options
    const lastContact = link.view.connected ? clock.now() : link.view.lastHeardAt
    for (const shardId of link.view.shards.keys()) this.#sessions.disconnected(shardId, lastContact)
    this.#links.delete(ordinal)
    this.#handOver.forget(ordinal)
    void link.stop()
    this.#recount()
  }

  #recount(): void {
    this.#candidates.clear()
    for (const link of this.#links.values()) for (const shardId of link.view.shards.keys()) this.#recountShard(shardId)
  }

  /** Whether this shard waits for a slot now. */
  #recountShard(shardId: number): void {
    this.#candidates.remove(shardId)
    const desired = this.#desired
    const { totalShards } = this
    const { lane } = this.#options
    if (!desired || !totalShards || !lane.info || this.#fatal || this.#identifying.has(shardId)) return
    const link = this.#linkOf(shardId)
    const record = link?.view.shards.get(shardId)
    if (record?.state === 'Offline' && link && this.#reportsPresentOptions(link))
      this.#freeze(record.closeCode ?? 4004, shardId)
    if (record?.state !== 'Unidentified' || !link?.view.connected || link.view.draining) return
    if (!this.#handOver.allowsIdentify(link.ref.ordinal, shardId) || this.#countProblem()) return
    const { maxConcurrency } = lane.info.limit
    this.#candidates.add(record, { desired, totalShards, maxConcurrency, now: this.#options.clock.now() })
    lane.wake()
  }

  /** The worker that shall hold the shard. */
  #linkOf(shardId: number): WorkerLink | undefined {
    const owner = this.#ownerOf(shardId)
    return owner === undefined ? undefined : this.#links.get(owner)
  }

  #ownerOf(shardId: number): number | undefined {
    const { totalShards } = this
    if (!this.#desired || totalShards === undefined || shardId >= totalShards) return undefined
    return ownerOf(shardId, totalShards, this.#desired.totalWorkers)
  }

  #countProblem(): Fleet['countProblem'] {
    const { totalShards } = this
    return this.#desired && totalShards !== undefined ? shardCountProblem(totalShards, this.#desired) : undefined
  }

  /** Plans once, soon, and tells whoever shows the fleet. */
  #changed(): void {
    this.#planning ??= this.#options.clock.after(0, () => {
      this.#planning = undefined
      this.#plan()
    })
    this.#options.onChange()
  }

  #plan(): void {
    const { totalShards } = this
    const options = this.#presentOptions()
    const desired = this.#desired
    if (this.#stopped.signal.aborted || !desired || !options || totalShards === undefined || this.#countProblem())
      return
    const { gateway, gatewayKey } = options
    const target: Target = { totalShards, totalWorkers: desired.totalWorkers, gatewayKey, batch: BATCH }
    this.#handOver.step(target, gateway)
  }

  /** A shard that was turned away under options that were corrected since says nothing about the correction. */
  #reportsPresentOptions(link: WorkerLink): boolean {
    const options = this.#presentOptions()
    return options !== undefined && this.#handOver.reportsUnder(options.gatewayKey, link.ref.ordinal)
  }

  #presentOptions(): PresentOptions | undefined {
    return gatewayOf(this.#desired, this.#options.lane.info?.url, this.#links.values())
  }
}
