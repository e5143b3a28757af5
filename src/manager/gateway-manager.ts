import { removable } from '../domain/hand-over.ts'
import type { Candidate, Grant } from '../domain/identify-schedule.ts'
import { background, guarded } from '../support/background.ts'
import type { Cancel } from '../support/clock.ts'
import { Candidates } from './candidates.ts'
import { Claims } from './claims.ts'
import type { Fleet } from './fleet.ts'
import { fleetOf } from './fleet-of.ts'
import { HandOverLoop } from './hand-over-loop.ts'
import { IdentifyAttempts } from './identify-attempts.ts'
import { IdentifyPermit } from './identify-permit.ts'
import type { IdentifyOutcome, IdentifySource } from './identify-source.ts'
import type { ManagerOptions } from './manager-options.ts'
import type { Desired, WorkerRef } from './ports.ts'
import { SessionLedger } from './session-ledger.ts'
import { SessionSaver } from './session-saver.ts'
import { ShardDirectory } from './shard-directory.ts'
import { Wanted } from './wanted.ts'
import { WorkerLink } from './worker-link.ts'
import type { Changed } from './worker-view.ts'

/** Shards released in one go: a shard's gap in a hand-over is about the time this many sockets take to close and open. */
const BATCH = 64

/**
 * The gateway loop of one ShardCluster, level-triggered: it compares what each worker says it holds with what it
 * shall hold, and sends the next command. Everything it knows it has from the workers: a new one starts from nothing.
 */
export class GatewayManager implements IdentifySource {
  readonly cluster: string
  /** Where each shard is now: for whoever sends something on one. */
  readonly directory: ShardDirectory
  readonly #options: ManagerOptions
  readonly #links = new Map<number, WorkerLink>()
  readonly #sessions = new SessionLedger()
  readonly #attempts: IdentifyAttempts
  readonly #candidates: Candidates
  readonly #saver: SessionSaver
  readonly #identifying = new Set<number>()
  readonly #stopped = new AbortController()
  readonly #wanted: Wanted
  readonly #handOver: HandOverLoop
  readonly #permit: IdentifyPermit
  readonly #unregister: () => void
  readonly #claims = new Claims(this.#links)
  #fatal: Fleet['fatal']
  #planning: Cancel | undefined

  constructor(options: ManagerOptions) {
    this.#options = options
    this.cluster = options.cluster
    this.#attempts = new IdentifyAttempts(options.random)
    this.#candidates = new Candidates({ cluster: this.cluster, sessions: this.#sessions, attempts: this.#attempts })
    this.#wanted = new Wanted(options.lane)
    const ownerOf = (shardId: number) => this.#wanted.ownerOf(shardId)
    const shared = { links: this.#links, sessions: this.#sessions, totalShards: () => this.totalShards, ownerOf }
    this.directory = new ShardDirectory({ ...shared, clock: options.clock })
    this.#saver = new SessionSaver({ ...options, ...shared, store: options.store })
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
    this.#permit = new IdentifyPermit({
      ...options,
      sessions: this.#sessions,
      attempts: this.#attempts,
      identifying: this.#identifying,
      signal: this.#stopped.signal,
      epochFor: (ordinal) => this.#handOver.epochFor(ordinal),
      onFatalClose: (closeCode, shardId) => this.#freeze(closeCode, shardId),
    })
    this.#unregister = options.lane.register(this)
  }

  get windowMilliseconds(): number {
    return this.#wanted.desired?.identify.windowMilliseconds ?? 5_000
  }

  /** undefined until Discord's recommendation is known, where the user gave no number. */
  get totalShards(): number | undefined {
    return this.#wanted.totalShards
  }

  /** Takes what shall be; the same again changes nothing. */
  configure(desired: Desired): void {
    const before = this.#wanted.desired
    this.#wanted.desired = desired
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
    for (const one of gone) this.#forget(...one)
    const fresh = refs.filter(({ ordinal }) => !this.#links.has(ordinal))
    for (const { ordinal, running = true } of refs) {
      const link = this.#links.get(ordinal)
      link?.running(running)
      if (link && !running) this.#disconnected(link)
    }
    for (const ref of fresh) this.#links.set(ref.ordinal, this.#linkTo(ref))
    // Whoever listens for changes may call this again: the same workers are no change.
    if (gone.length > 0 || fresh.length > 0) this.#changed()
  }

  #linkTo(ref: WorkerRef): WorkerLink {
    return new WorkerLink({
      ...{ ...this.#options, ref },
      mayHold: (link) => this.#claims.of(link),
      onChange: (link, changed) => this.#heard(link, changed),
      onBroken: (bound) => this.#options.metrics.boundBroken(this.cluster, bound),
    })
  }

  /** Whether a worker beyond `totalWorkers` can be removed: it holds nothing. Of one that is not known, nothing can be said. */
  removable(ordinal: number): boolean {
    const facts = this.#handOver.factsOf(ordinal)
    return facts !== undefined && removable(facts)
  }

  /** A close code that is a fact about the whole ShardCluster. */
  get fatal(): Fleet['fatal'] {
    return this.#fatal
  }

  fleet(): Fleet {
    return fleetOf({
      desired: this.#wanted.desired,
      totalShards: this.totalShards,
      countProblem: this.#wanted.countProblem,
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

  async start(grant: Grant, signal?: AbortSignal): Promise<IdentifyOutcome> {
    const { shardId } = grant.candidate
    const link = this.directory.ownerOf(shardId)
    if (!link) return { sentAt: undefined, tooEarly: false }
    this.#identifying.add(shardId)
    const since = this.#candidates.granted(shardId)
    if (since !== undefined) this.#options.metrics.waited(this.cluster, Math.max(0, grant.slotAt - since))
    const outcome = await this.#permit.use(grant, link, signal)
    this.#recountShard(shardId)
    this.#options.onChange()
    return outcome
  }

  #heard(link: WorkerLink, changed: Changed | undefined): void {
    if (this.#links.get(link.ref.ordinal) !== link) return
    const now = this.#options.clock.now()
    const { drained, finalSessions, ordinal } = link.view
    if (drained && changed) {
      for (const session of finalSessions) this.#sessions.record(session, false, now)
      this.#saver.drained(ordinal, finalSessions)
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
    this.#saver.changed()
  }

  /** Takes what a worker says of one shard: its session, when its IDENTIFY left. */
  #learn(link: WorkerLink, shardId: number, now: number): void {
    const record = link.view.shards.get(shardId)
    if (record?.session) {
      if (this.#sessions.record(record.session, record.state === 'Connected', now)) this.#saver.changed()
    }
    // One that says nothing of a session, in a process that is new, is one that does not know of it.
    else if (record && (record.ended !== undefined || record.recovering)) this.#sessions.end(shardId)
    else if (!record) this.#sessions.disconnected(shardId, now)
    if (!record) return
    if (record.state === 'Identifying' && record.identifiedMsAgo !== undefined) {
      this.#options.lane.sent(shardId, now - record.identifiedMsAgo)
    }
    if (record.state === 'Connected') {
      this.#attempts.connected(shardId)
      this.#candidates.connected(shardId)
      this.#handOver.arrived(shardId, link.ref.ordinal)
    }
  }

  /** A fatal close code is a fact about the whole ShardCluster: no more IDENTIFYs, what runs goes on. */
  #freeze(closeCode: number, shardId: number): void {
    if (this.#fatal) return
    this.#fatal = { closeCode, shardId }
    const about = { cluster: this.cluster, closeCode, shardId }
    this.#options.logger.error(about, 'fatal close code: no shard identifies until it is mended')
    this.#recount()
  }

  /**
   * A process is gone. One that was not heard for a while may have gone on until now: its sessions are tried as long as
   * Discord may have them, because a RESUME that is refused costs nothing.
   */
  #disconnected({ view }: WorkerLink): void {
    const now = this.#options.clock.now()
    for (const shardId of view.shards.keys()) this.#sessions.disconnected(shardId, now)
  }

  #forget(ordinal: number, link: WorkerLink): void {
    this.#disconnected(link)
    this.#links.delete(ordinal)
    this.#handOver.forget(ordinal)
    background(link.stop(), this.#options.logger, 'end of a worker link')
    this.#recount()
  }

  #recount(): void {
    this.#claims.wanted(this.totalShards, this.#wanted.desired?.shardsPerWorker)
    this.#candidates.clear()
    for (const link of this.#links.values()) for (const shardId of link.view.shards.keys()) this.#recountShard(shardId)
  }

  /** Whether this shard waits for a slot now. */
  #recountShard(shardId: number): void {
    this.#candidates.remove(shardId)
    const { desired } = this.#wanted
    const { totalShards } = this
    const { lane } = this.#options
    const { maxConcurrency } = lane
    if (!desired || !totalShards || !maxConcurrency || this.#fatal || this.#identifying.has(shardId)) return
    const link = this.directory.ownerOf(shardId)
    const record = link?.view.shards.get(shardId)
    if (record?.state === 'Offline' && link && this.#reportsPresentOptions(link))
      this.#freeze(record.closeCode ?? 4004, shardId)
    if (record?.state !== 'Unidentified' || !link?.view.connected || link.view.draining) return
    if (!this.#handOver.allowsIdentify(link.ref.ordinal, shardId) || this.#wanted.countProblem) return
    this.#candidates.add(record, { desired, totalShards, maxConcurrency, now: this.#options.clock.now() })
    lane.wake()
  }

  /** Plans once, soon, and tells whoever shows the fleet. */
  #changed(): void {
    this.#planning ??= this.#options.clock.after(0, () => {
      this.#planning = undefined
      guarded(() => this.#plan(), this.#options.logger, 'hand-over plan')
    })
    this.#options.onChange()
  }

  #plan(): void {
    const { totalShards } = this
    const options = this.#wanted.optionsFor(this.#links.values())
    const { desired } = this.#wanted
    if (this.#stopped.signal.aborted || !desired || !options || totalShards === undefined || this.#wanted.countProblem)
      return
    const target = { totalShards, totalWorkers: desired.totalWorkers, gatewayKey: options.gatewayKey, batch: BATCH }
    this.#handOver.step(target, options.gateway)
  }

  /** A shard that was turned away under options that were corrected since says nothing about the correction. */
  #reportsPresentOptions(link: WorkerLink): boolean {
    const options = this.#wanted.optionsFor(this.#links.values())
    return options !== undefined && this.#handOver.reportsUnder(options.gatewayKey, link.ref.ordinal)
  }
}
