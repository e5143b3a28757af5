import type { MetricObject } from 'prom-client'
import { termOf } from '../src/domain/epoch.ts'
import { contains, shardsOf } from '../src/domain/ranges.ts'
import type {
  Assigned,
  AssignShards,
  Command,
  Identified,
  IdentifyShard,
  Released,
  ReleaseShards,
} from '../src/protocol/commands.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'
import type { Session } from '../src/protocol/session.ts'
import type { Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { SessionShelf } from './session-shelf.ts'
import { type ShardSummary, sessionRecord, sessionState } from './shard/summary.ts'
import type { Holding } from './shard-group.ts'
import type { StateBoard } from './state-board.ts'
import { ThreadDied, type ThreadPool } from './threads.ts'

/** What a command is answered: every outcome is a value. */
export type Reply =
  | { readonly ok: true; readonly body: Identified | Assigned | Released }
  | { readonly ok: false; readonly failure: Failure }

export interface GatewayWorkerOptions {
  readonly workerId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly board: StateBoard
  readonly threads: ThreadPool
  /** Sessions of this worker's former process, as far as they may still live. */
  readonly storedSessions: readonly Session[]
}

const refused = (...args: Parameters<typeof failure>): Reply => ({ ok: false, failure: failure(...args) })

/** A worker on its main thread: obeys the manager's commands, spreads shards over threads, knows what each is. */
export class GatewayWorker {
  readonly #options: GatewayWorkerOptions
  /** Sessions without a shard: what a former process left, and what was released. */
  readonly #shelf: SessionShelf
  /** Assignments and releases are carried out one after the other, in the order in which they came. */
  #lastTurn: Promise<unknown> = Promise.resolve()
  /** The newest epoch that was received; the board shows the newest that was carried out. */
  #newest = 0
  /** IDENTIFYs under way, with the term of the leader that allowed each. */
  readonly #permits = new Map<AbortController, number>()

  constructor(options: GatewayWorkerOptions) {
    this.#options = options
    this.#shelf = new SessionShelf(options.clock, options.storedSessions)
  }

  /** Carries out one command. `signal` aborts when the manager hangs up: an IDENTIFY not sent yet is not sent then. */
  async handle(command: Command, signal: AbortSignal): Promise<Reply> {
    const { board } = this.#options
    if (board.head.draining) return DRAINING
    const { epoch = this.#newest } = command
    if (epoch < this.#newest)
      return refused(
        'STALE_EPOCH',
        `epoch ${epoch} is older than ${this.#newest}: a newer manager has spoken to this worker.`,
      )
    this.#obey(epoch)
    switch (command.type) {
      case 'IDENTIFY_SHARD':
        return this.#permitted(termOf(epoch), signal, (permit) => this.#identify(command, permit))
      case 'ASSIGN_SHARDS':
        return this.#inTurn(epoch, () => this.#assign(command))
      case 'RELEASE_SHARDS':
        return this.#inTurn(epoch, () => this.#release(command))
    }
  }

  /** Closes every shard so that its session lives on, and waits up to `flushMs` for the sinks. @returns final sessions. */
  async drain(flushMs: number): Promise<readonly Session[]> {
    const { board, threads } = this.#options
    board.setHead({ draining: true })
    const answers = await this.#eachThread(async (index) => {
      try {
        return await threads.call(index, 'DRAIN', { flushMs })
      } catch {
        return this.#lastKnown(this.#shardsOf(index))
      }
    })
    const sessions = answers.flat()
    board.drained(sessions)
    return sessions
  }

  /** Resolves true when every thread answers within `timeoutMs`; one that is being replaced counts as well. */
  async healthy(timeoutMs: number): Promise<boolean> {
    const { clock, threads } = this.#options
    let cancel = () => {}
    const late = new Promise<boolean>((resolve) => {
      cancel = clock.after(timeoutMs, () => resolve(false))
    })
    const answers = this.#eachThread((index) => threads.call(index, 'PING', {}).catch(ignoreDeath)).then(() => true)
    return Promise.race([answers, late]).finally(cancel)
  }

  async metrics(): Promise<MetricObject[][]> {
    const { threads } = this.#options
    const answers = await this.#eachThread((index) => threads.call(index, 'METRICS', {}).catch(ignoreDeath))
    return answers.flatMap((answer) => (answer ? [[...answer]] : []))
  }

  /** Thread `index` ended with all its connections; their sessions live on. */
  threadDied(index: number): void {
    const { board, clock } = this.#options
    for (const shardId of this.#shardsOf(index)) {
      const summary = board.shard(shardId)
      if (!summary || summary.state === 'Offline') continue
      const session = summary.session && { lastContactAt: clock.now(), ...summary.session }
      board.put({ ...summary, state: session ? 'Resuming' : 'Unidentified', ...(session && { session }) })
    }
  }

  /** Thread `index` is a new, empty one: it gets its shards and their sessions back. */
  threadReplaced(index: number): void {
    const { board, logger } = this.#options
    const holdings = this.#shardsOf(index).flatMap((shardId): Holding[] => {
      const summary = board.shard(shardId)
      return summary ? [{ shardId, history: summary, ...(summary.session && { session: summary.session }) }] : []
    })
    this.#hold(index, holdings).catch((error: Error) =>
      logger.error({ err: error, thread: index }, 'shards were not given back'),
    )
  }

  async #identify({ shardId, slotInMs }: IdentifyShard, signal: AbortSignal): Promise<Reply> {
    const { board, clock, threads, workerId } = this.#options
    const receivedAt = clock.now()
    const { assignment } = board.head
    const why = !assignment
      ? 'no range was assigned to this worker yet'
      : !contains(assignment, shardId)
        ? `the range of this worker is ${assignment.first} to ${assignment.last}`
        : board.shard(shardId) === undefined && 'it is withheld or not held yet'
    if (why) return refused('NOT_ASSIGNED', `shard ${shardId} is not this worker's: ${why}.`)
    const ask = { shardId, slotAt: receivedAt + slotInMs, exact: slotInMs > 0 }
    try {
      const outcome = await threads.call(shardId % threads.count, 'IDENTIFY', ask, signal)
      const { identified, ...rest } = outcome
      if (identified)
        return { ok: true, body: { identified, shardId, workerId, identifiedMsAgo: outcome.identifiedMsAgo } }
      const { code, message, ...more } = rest as Extract<typeof outcome, { identified: false }>
      return refused(code, `shard ${shardId}: ${message}`, more)
    } catch (error) {
      const sentAt = board.shard(shardId)?.identifiedAt ?? Number.NEGATIVE_INFINITY
      const spent = sentAt >= receivedAt && { identifiedMsAgo: clock.now() - sentAt }
      return refused('INTERNAL', `shard ${shardId}: ${(error as Error).message}.`, { ...spent })
    }
  }

  async #assign(command: AssignShards): Promise<Reply> {
    const { board, clock, threads, logger } = this.#options
    const { totalShards, first, last, withhold, gateway, epoch } = command
    board.setHead({ assignment: { totalShards, first, last, withhold, gateway } })
    const sent = new Map(command.sessions.map((session) => [session.shardId, session]))
    const byThread = Array.from({ length: threads.count }, (): Holding[] => [])
    for (const shardId of shardsOf({ first, last })) {
      if (withhold.some((range) => contains(range, shardId))) continue
      const session = this.#shelf.take(shardId, totalShards, sent.get(shardId))
      const state = session && sessionState(session, clock.now())
      if (!board.shard(shardId)) board.put(newSummary(shardId, state))
      byThread[shardId % threads.count]?.push({ shardId, ...(state && { session: state }) })
    }
    await this.#eachThread((index) => this.#hold(index, byThread[index] ?? []))
    logger.info({ epoch, first, last, totalShards, sessions: sent.size }, 'took an assignment')
    return { ok: true, body: { assigned: true, epoch, first, last } }
  }

  async #release({ shardIds }: ReleaseShards): Promise<Reply> {
    const { board, threads, logger } = this.#options
    const held = shardIds.filter((shardId) => board.shard(shardId) !== undefined)
    const answers = await this.#eachThread(async (index) => {
      const ids = held.filter((shardId) => shardId % threads.count === index)
      if (ids.length === 0) return []
      try {
        return await threads.call(index, 'RELEASE', { shardIds: ids })
      } catch (error) {
        // Its connections went with it, the sessions did not.
        if (error instanceof ThreadDied) return this.#lastKnown(ids)
        throw error
      }
    })
    for (const session of answers.flat()) this.#shelf.put(session)
    for (const shardId of held) board.remove(shardId)
    // A shard released before is answered as it was then: the first answer may have been lost on its way.
    const sessions = shardIds.flatMap((shardId) => this.#shelf.look(shardId) ?? [])
    logger.info({ shards: held.length, sessions: sessions.length }, 'released shards')
    return { ok: true, body: { released: [...shardIds], sessions } }
  }

  async #hold(index: number, holdings: readonly Holding[]): Promise<void> {
    const { board, threads } = this.#options
    const { assignment } = board.head
    if (!assignment) return
    const { totalShards, gateway } = assignment
    // A thread that died gets everything from the board when it is replaced.
    await threads.call(index, 'HOLD', { settings: { totalShards, gateway }, holdings }).catch(ignoreDeath)
  }

  /** The board shows an epoch when its command was carried out: a manager takes it as the answer that it may not have got. */
  #inTurn(epoch: number, command: () => Promise<Reply>): Promise<Reply> {
    const { board } = this.#options
    const turn = this.#lastTurn.then(async () => {
      if (board.head.draining) return DRAINING
      const reply = await command()
      if (epoch > board.head.epoch) board.setHead({ epoch })
      return reply
    })
    this.#lastTurn = turn.catch(() => {})
    return turn
  }

  /** From now on nothing older counts. A leader that was paused may still hold its requests open: its permits are void. */
  #obey(epoch: number): void {
    if (termOf(epoch) > termOf(this.#newest)) {
      for (const [permit, term] of this.#permits) if (term < termOf(epoch)) permit.abort()
    }
    this.#newest = Math.max(this.#newest, epoch)
  }

  /** Runs with a signal that aborts when the manager hangs up, or when a leader of a newer term speaks. */
  async #permitted(
    term: number,
    hungUp: AbortSignal,
    identify: (permit: AbortSignal) => Promise<Reply>,
  ): Promise<Reply> {
    const permit = new AbortController()
    this.#permits.set(permit, term)
    try {
      return await identify(AbortSignal.any([hungUp, permit.signal]))
    } finally {
      this.#permits.delete(permit)
    }
  }

  #eachThread<T>(action: (index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: this.#options.threads.count }, (_, index) => action(index)))
  }

  #shardsOf(index: number): number[] {
    const { board, threads } = this.#options
    return [...board.shardIds].filter((shardId) => shardId % threads.count === index)
  }

  #lastKnown(shardIds: readonly number[]): Session[] {
    const { board, clock } = this.#options
    return shardIds.flatMap((shardId) => {
      const session = board.shard(shardId)?.session
      return session ? [sessionRecord(shardId, session, clock.now())] : []
    })
  }
}

const DRAINING = refused('DRAINING', 'the worker is going away; its last state record carries the sessions.')

function newSummary(shardId: number, session: ShardSummary['session']): ShardSummary {
  const state = session ? 'Resuming' : 'Unidentified'
  return { shardId, state, identifies: 0, resumes: 0, recovering: false, ...(session && { session }) }
}

function ignoreDeath(error: unknown): undefined {
  if (!(error instanceof ThreadDied)) throw error
}
