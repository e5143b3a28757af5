import type { Session } from '../protocol/session.ts'
import { background, guarded } from '../support/background.ts'
import type { Cancel, Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { SavedSession, SessionStore } from './ports.ts'
import type { SessionLedger } from './session-ledger.ts'
import type { WorkerLink } from './worker-link.ts'

export interface SaverOptions {
  readonly cluster: string
  readonly clock: Clock
  readonly logger: Logger
  readonly links: ReadonlyMap<number, WorkerLink>
  readonly sessions: SessionLedger
  readonly totalShards: () => number | undefined
  /** The worker that shall hold the shard; undefined: none. */
  readonly ownerOf: (shardId: number) => number | undefined
  /** undefined: nothing outlives the workers and the manager together. */
  readonly store: SessionStore | undefined
}

/** Reading what was saved may take this long before shards start without it, in milliseconds. */
const LOAD_MS = 10_000

/** Sessions that a worker has newly got are saved together after this long, in milliseconds: a start brings them in waves. */
const GATHER_MS = 5_000

/**
 * The copy of all sessions that outlives everything: read once, when a shard turns up whose session nobody else knows;
 * written when a worker has drained, when it holds other sessions than were saved, when this manager ends in good order,
 * and, because the sequences grow old, at a slow pace. Never for an event.
 */
export class SessionSaver {
  readonly #options: SaverOptions
  #loaded: Promise<void> | undefined
  #ready = false
  /** The newest of each worker only: a store that is away for an hour must not make a queue of an hour. */
  readonly #waiting = new Map<number, readonly SavedSession[]>()
  #saving: Promise<void> | undefined
  /** The ids that were saved last of each worker. */
  readonly #saved = new Map<number, string>()
  #cancelPace: Cancel = () => {}
  #cancelGather: Cancel | undefined
  #everyMs = 0

  constructor(options: SaverOptions) {
    this.#options = options
  }

  /** Saves all at this pace, in milliseconds; 0: only when there is something new. */
  pace(everyMs: number): void {
    if (everyMs === this.#everyMs || !this.#options.store) return
    this.#everyMs = everyMs
    this.#cancelPace()
    if (everyMs > 0) this.#later()
  }

  /** Whether what was saved is in the ledger, as far as it can be had. */
  get ready(): boolean {
    return this.#ready || !this.#options.store
  }

  /** Resolves when `ready`. */
  loaded(): Promise<void> {
    const { store } = this.#options
    if (!store) return Promise.resolve()
    this.#loaded ??= this.#load(store).then(() => {
      this.#ready = true
    })
    return this.#loaded
  }

  /** Some worker may hold other sessions than before: looks soon, once. */
  changed(): void {
    if (!this.#options.store) return
    this.#cancelGather ??= this.#options.clock.after(GATHER_MS, () => {
      this.#cancelGather = undefined
      guarded(() => this.#saveChanged(), this.#options.logger, 'saving of sessions')
    })
  }

  #saveChanged(): void {
    for (const [ordinal, sessions] of this.#byWorker())
      if (this.#saved.get(ordinal) !== idsOf(sessions)) this.#save(ordinal, sessions)
  }

  /** Final sessions of a worker that has drained. */
  drained(ordinal: number, sessions: readonly Session[]): void {
    this.#save(
      ordinal,
      sessions.map((session) => ({ ...session, connected: false })),
    )
  }

  /** Saves every session that can be resumed. Resolves when that is done or has failed. */
  async saveAll(): Promise<void> {
    for (const [ordinal, sessions] of this.#byWorker()) this.#save(ordinal, sessions)
    await this.#saving
  }

  /** Nothing more is begun: who was deposed must not write over what the next one saves. */
  stop(): void {
    this.#cancelPace()
    this.#cancelGather?.()
    this.#waiting.clear()
  }

  #later(): void {
    this.#cancelPace = this.#options.clock.after(this.#everyMs, () => {
      background(this.saveAll(), this.#options.logger, 'saving of sessions')
      this.#later()
    })
  }

  /** By who holds the shard; one that nobody holds now, because its pod is being replaced, by who shall hold it. */
  #byWorker(): ReadonlyMap<number, SavedSession[]> {
    const { sessions, clock, totalShards, links, ownerOf } = this.#options
    const holders = new Map<number, number>()
    for (const [ordinal, { view }] of links) for (const shardId of view.shards.keys()) holders.set(shardId, ordinal)
    const saved = new Map<number, SavedSession[]>()
    for (const session of sessions.resumable(sessions.shardIds(), totalShards() ?? 0, clock.now())) {
      const ordinal = holders.get(session.shardId) ?? ownerOf(session.shardId)
      if (ordinal === undefined) continue
      const one = { ...session, connected: sessions.connected(session.shardId) }
      const known = saved.get(ordinal)
      if (known) known.push(one)
      else saved.set(ordinal, [one])
    }
    return saved
  }

  /** Nothing is no reason to forget what was there. */
  #save(ordinal: number, sessions: readonly SavedSession[]): void {
    const { store } = this.#options
    if (!store || sessions.length === 0) return
    this.#saved.set(ordinal, idsOf(sessions))
    this.#waiting.set(ordinal, sessions)
    this.#saving ??= this.#writeWaiting(store)
  }

  /** One after the other: what is saved last of a worker is what stays. */
  async #writeWaiting(store: SessionStore): Promise<void> {
    const { logger, cluster } = this.#options
    // A Map that grows while it is walked is walked to its new end.
    for (const [ordinal, sessions] of this.#waiting) {
      this.#waiting.delete(ordinal)
      await store.save(ordinal, sessions).catch((error: unknown) => {
        this.#saved.delete(ordinal)
        logger.warn({ cluster, worker: ordinal, err: error }, 'sessions were not saved')
      })
    }
    this.#saving = undefined
  }

  async #load(store: SessionStore): Promise<void> {
    const { clock, logger, cluster, sessions } = this.#options
    let cancel: Cancel = () => {}
    const late = new Promise<undefined>((resolve) => {
      cancel = clock.after(LOAD_MS, () => resolve(undefined))
    })
    try {
      const saved = (await Promise.race([store.load(), late])) ?? []
      for (const session of saved) sessions.offer(session, clock.now())
      if (saved.length > 0) logger.info({ cluster, sessions: saved.length }, 'read saved sessions')
    } catch (error) {
      logger.warn({ cluster, err: error }, 'saved sessions cannot be read; shards that nobody else knows start anew')
    } finally {
      cancel()
    }
  }
}

const idsOf = (sessions: readonly SavedSession[]): string =>
  sessions
    .map(({ shardId, sessionId }) => `${shardId}/${sessionId}`)
    .sort()
    .join()
