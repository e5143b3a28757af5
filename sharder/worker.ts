import type { MetricObject } from 'prom-client'
import { gatewayUrlProblem } from '../src/domain/gateway-host.ts'
import { contains, shardsOutside } from '../src/domain/ranges.ts'
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
import type { PayloadSent } from '../src/protocol/send-payload.ts'
import { SESSION_LIFETIME_MS, type Session } from '../src/protocol/session.ts'
import type { Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import { EpochGate } from './epoch-gate.ts'
import { sendPayload } from './send-payload.ts'
import type { ResumeCause } from './shard/resume-cause.ts'
import { newSummary, sessionRecord, sessionState } from './shard/summary.ts'
import type { Holding } from './shard-group.ts'
import type { StateBoard } from './state-board.ts'
import type { FoundState } from './state-file.ts'
import { ThreadDied, type ThreadPool } from './threads.ts'

/** What a command is answered: every outcome is a value. */
export type Reply =
  | { readonly ok: true; readonly body: Identified | Assigned | Released | PayloadSent }
  | { readonly ok: false; readonly failure: Failure }

export interface GatewayWorkerOptions {
  readonly workerId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly board: StateBoard
  readonly threads: ThreadPool
  /** Hosts that a gateway may be on: see `spec.gateway.hosts`. */
  readonly gatewayHosts: readonly string[]
  /** The newest epoch that a former process of this pod obeyed; 0: there was none. */
  readonly epoch?: number
  /** Resolves when what is so now would outlive this process. */
  readonly save: () => Promise<void>
}

const refused = (...args: Parameters<typeof failure>): Reply => ({ ok: false, failure: failure(...args) })

/** A worker on its main thread: obeys the manager's commands, spreads shards over threads, knows what each is. */
export class GatewayWorker {
  readonly #options: GatewayWorkerOptions
  readonly #gate: EpochGate
  /** Assignments and releases are carried out one after the other, in the order in which they came. */
  #lastTurn: Promise<unknown> = Promise.resolve()
  /** Shards that are being given up: a thread that is replaced meanwhile must not get them back. */
  readonly #leaving = new Set<number>()

  constructor(options: GatewayWorkerOptions) {
    this.#options = options
    this.#gate = new EpochGate(options.clock, options.epoch)
  }

  /** The newest epoch that was heard: what is older is refused, by the next process of this pod too. */
  get epoch(): number {
    return this.#gate.newest
  }

  /**
   * Takes up what a process of this pod held when it was killed, before anybody is told that this one holds nothing:
   * no manager gives the shards of a pod away that may still come back with them. They resume without being told to, so
   * that a crash needs no operator; shards without a session wait for IDENTIFY_SHARD. After a session's lifetime there
   * is nothing to resume, and the manager counts on it that nothing is taken up any more.
   */
  async takeUp({ assignment, held, ageMs }: FoundState): Promise<void> {
    const { board, logger } = this.#options
    if (!assignment || held.length === 0 || ageMs >= SESSION_LIFETIME_MS) return
    board.setHead({ assignment })
    await this.#give(held, assignment.totalShards, new Map(), 'restart')
    logger.info({ shards: held.length }, 'took up what the former process held')
  }

  /** Carries out one command. `signal` aborts when the manager hangs up: an IDENTIFY not sent yet is not sent then. */
  async handle(command: Command, signal: AbortSignal): Promise<Reply> {
    const { board } = this.#options
    if (board.head.draining) return DRAINING
    if (command.type === 'SEND_PAYLOAD') return sendPayload(command, this.#options, signal)
    const { epoch = this.#gate.newest } = command
    const stale = this.#gate.refusal(epoch)
    if (stale) return { ok: false, failure: stale }
    // Before anything of it is done: a restarted process must not obey whoever this leader has deposed.
    if (this.#gate.obey(epoch)) await this.#options.save()
    switch (command.type) {
      case 'IDENTIFY_SHARD':
        return this.#gate.permitted(epoch, signal, (permit) => this.#identify(command, permit))
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
    if (board.head.draining) return
    const staying = this.#shardsOf(index).filter((shardId) => !this.#leaving.has(shardId))
    const holdings = staying.flatMap((shardId): Holding[] => {
      const summary = board.shard(shardId)
      return summary
        ? [{ shardId, cause: 'thread', history: summary, ...(summary.session && { session: summary.session }) }]
        : []
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
    const { board, logger, gatewayHosts } = this.#options
    const { totalShards, first, last, withhold, gateway, epoch } = command
    const elsewhere = gatewayUrlProblem(gateway.url, gatewayHosts)
    if (elsewhere !== undefined) return refused('BAD_REQUEST', `no shard connects there: ${elsewhere}.`)
    board.setHead({ assignment: { totalShards, first, last, withhold, gateway } })
    const sent = new Map(command.sessions.map((session) => [session.shardId, session]))
    const free = [...shardsOutside({ first, last }, withhold)]
    await this.#give(free, totalShards, sent, 'handover')
    logger.info({ epoch, first, last, totalShards, sessions: sent.size }, 'took an assignment')
    return { ok: true, body: { assigned: true, epoch, first, last } }
  }

  /** Holds these shards from now on, each with the best session there is for it. */
  async #give(
    shardIds: readonly number[],
    totalShards: number,
    sent: ReadonlyMap<number, Session>,
    cause: ResumeCause,
  ): Promise<void> {
    const { board, clock, threads } = this.#options
    const byThread = Array.from({ length: threads.count }, (): Holding[] => [])
    for (const shardId of shardIds) {
      const session = board.shelf.take(shardId, totalShards, sent.get(shardId))
      const state = session && sessionState(session, clock.now())
      if (!board.shard(shardId)) board.put(newSummary(shardId, state))
      byThread[shardId % threads.count]?.push({ shardId, cause, ...(state && { session: state }) })
    }
    await this.#eachThread((index) => this.#hold(index, byThread[index] ?? []))
  }

  async #release({ shardIds }: ReleaseShards): Promise<Reply> {
    const { board, logger, save } = this.#options
    const held = shardIds.filter((shardId) => board.shard(shardId) !== undefined)
    for (const shardId of held) this.#leaving.add(shardId)
    try {
      for (const session of await this.#close(held)) board.shelf.put(session)
      for (const shardId of held) board.remove(shardId)
    } finally {
      for (const shardId of held) this.#leaving.delete(shardId)
    }
    // Another worker gets them as soon as this is answered: a process killed after that must not leave them to its successor.
    await save()
    // A shard released before is answered as it was then: the first answer may have been lost on its way.
    const sessions = shardIds.flatMap((shardId) => board.shelf.look(shardId) ?? [])
    logger.info({ shards: held.length, sessions: sessions.length }, 'released shards')
    return { ok: true, body: { released: [...shardIds], sessions } }
  }

  /** Closes these shards on their threads. @returns their sessions. */
  async #close(held: readonly number[]): Promise<Session[]> {
    const { threads } = this.#options
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
    return answers.flat()
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

function ignoreDeath(error: unknown): undefined {
  if (!(error instanceof ThreadDied)) throw error
}
