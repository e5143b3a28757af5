import type { Session } from '../protocol/session.ts'
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
  #saving: Promise<unknown> = Promise.resolve()
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
      for (const [ordinal, link] of this.#options.links) {
        const sessions = this.#sessionsOf(link)
        if (this.#saved.get(ordinal) !== idsOf(sessions)) this.#save(ordinal, sessions)
      }
    })
  }

  /** Final sessions of a worker that has drained. */
  drained(ordinal: number, sessions: readonly Session[]): void {
    this.#save(
      ordinal,
      sessions.map((session) => ({ ...session, connected: false })),
    )
  }

  /** Saves what every worker holds. Resolves when that is done or has failed. */
  async saveAll(): Promise<void> {
    for (const [ordinal, link] of this.#options.links) this.#save(ordinal, this.#sessionsOf(link))
    await this.#saving
  }

  stop(): void {
    this.#cancelPace()
    this.#cancelGather?.()
  }

  #later(): void {
    this.#cancelPace = this.#options.clock.after(this.#everyMs, () => {
      void this.saveAll()
      this.#later()
    })
  }

  #sessionsOf({ view }: WorkerLink): SavedSession[] {
    const { sessions, clock, totalShards } = this.#options
    const resumable = sessions.resumable(view.shards.keys(), totalShards() ?? 0, clock.now())
    return resumable.map((session) => ({ ...session, connected: sessions.connected(session.shardId) }))
  }

  /** One after the other: what is saved last of a worker is what stays. Nothing is no reason to forget what was there. */
  #save(ordinal: number, sessions: readonly SavedSession[]): void {
    const { store, logger, cluster } = this.#options
    if (!store || sessions.length === 0) return
    this.#saved.set(ordinal, idsOf(sessions))
    this.#saving = this.#saving
      .then(() => store.save(ordinal, sessions))
      .catch((error: unknown) => {
        this.#saved.delete(ordinal)
        logger.warn({ cluster, worker: ordinal, err: error }, 'sessions were not saved')
      })
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
