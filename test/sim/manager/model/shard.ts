import type { ShardHistory } from '../../../../sharder/shard/connection-log.ts'
import { type IdentifyOutcome, notIdentified } from '../../../../sharder/shard/permit.ts'
import type { SessionState, ShardSummary } from '../../../../sharder/shard/summary.ts'
import type { SessionEnd, ShardStateName } from '../../../../src/protocol/state.ts'
import type { Connection } from './discord.ts'
import type { SimFeed } from './feed.ts'
import type { SimThread } from './threads.ts'

const READY_TIMEOUT_MS = 30_000
const LIFETIME_MS = 90_000

interface Known {
  readonly id: string
  readonly totalShards: number
  readonly feed: SimFeed
  /** When its connection was last up; undefined: it is. */
  lastContactAt: number | undefined
}

/** One shard in a simulated thread: the life of a ManagedShard without sockets. `#life` tells late timers that it is over. */
export class SimShard {
  readonly id: number
  state: ShardStateName = 'Unidentified'
  readonly #thread: SimThread
  readonly #totalShards: number
  #connection: Connection | undefined
  #session: Known | undefined
  #ended: SessionEnd | undefined
  #identifiedAt: number | undefined
  #identifies: number
  #resumes: number
  #recovering: boolean
  #closeCode: number | undefined
  #life = 0
  #answer: ((outcome: IdentifyOutcome) => void) | undefined

  constructor(thread: SimThread, id: number, totalShards: number, session?: SessionState, history?: ShardHistory) {
    this.#thread = thread
    this.id = id
    this.#totalShards = totalShards
    this.#identifies = history?.identifies ?? 0
    this.#resumes = history?.resumes ?? 0
    this.#recovering = history?.recovering ?? false
    this.#identifiedAt = history?.identifiedAt
    if (session) this.#restore(session)
  }

  summary(): ShardSummary {
    const session = this.sessionState()
    return {
      shardId: this.id,
      state: this.state,
      identifies: this.#identifies,
      resumes: this.#resumes,
      recovering: this.#recovering,
      ...(this.#identifiedAt !== undefined && { identifiedAt: this.#identifiedAt }),
      ...(this.#closeCode !== undefined && { closeCode: this.#closeCode }),
      ...(session && { session }),
      ...(this.#ended && { ended: this.#ended }),
    }
  }

  sessionState(): SessionState | undefined {
    if (!this.#session) return undefined
    const { id: sessionId, totalShards, feed, lastContactAt } = this.#session
    const at = lastContactAt === undefined ? {} : { lastContactAt }
    return { sessionId, resumeGatewayUrl: 'wss://gateway.discord.gg', sequence: feed.acknowledged, totalShards, ...at }
  }

  /** Closes it for good in this thread, so that its session lives on. */
  stop(): void {
    this.#life++
    this.#disconnect()
    const spent = this.state === 'Identifying' ? this.#spent() : {}
    this.#settle(notIdentified('NOT_ASSIGNED', 'The shard was released.', spent))
  }

  /** Assigned anew: one that was turned away tries again, one without a session takes this one. */
  assignAgain(session: SessionState | undefined): void {
    if (this.state === 'Offline') this.#become(this.#session ? 'Resuming' : 'Unidentified')
    else if (this.state !== 'Unidentified' || this.#answer) return
    if (session && !this.#session) this.#restore(session)
  }

  identify(slotAt: number, permit: AbortSignal): Promise<IdentifyOutcome> {
    const { env } = this.#thread
    if (this.state === 'Connected') return Promise.resolve(this.#identified())
    if (this.#session) return Promise.resolve(notIdentified('SLOT_MISSED', 'it is resuming its session'))
    if (this.state !== 'Unidentified') return Promise.resolve(notIdentified('INTERNAL', `it is ${this.state} already`))
    this.#become('Connecting')
    const withdraw = () => this.#notSent('CLOSED', 'the permit was withdrawn')
    permit.addEventListener('abort', withdraw, { once: true })
    const answer = new Promise<IdentifyOutcome>((resolve) => {
      this.#answer = resolve
    })
    if (permit.aborted) withdraw()
    this.#later(Math.max(slotAt - env.clock.now(), env.random.int(5, 400)), () => {
      permit.removeEventListener('abort', withdraw)
      if (env.random.chance(env.faults.connectFails)) return this.#notSent('CONNECT_FAILED', 'cannot connect')
      this.#send()
    })
    return answer
  }

  #restore({ sessionId: id, totalShards, lastContactAt }: SessionState): void {
    const { env, sink } = this.#thread
    this.#ended = undefined
    this.#session = {
      id,
      totalShards,
      feed: env.discord.feedOf(id, sink, this.#thread),
      lastContactAt: lastContactAt ?? env.clock.now(),
    }
    this.#session.feed.stop()
    this.#resume(this.sessionState()?.sequence ?? 0)
  }

  /** Tries until it is back, or its session is too old: as ManagedShard does, with a back-off. */
  #resume(sequence: number): void {
    const { clock, random, discord, faults } = this.#thread.env
    this.#become('Resuming')
    this.#later(random.int(10, 400), () => {
      const session = this.#session as Known
      if (clock.now() - (session.lastContactAt ?? clock.now()) >= LIFETIME_MS) return this.#lost('EXPIRED')
      if (random.chance(faults.connectFails)) return this.#later(random.int(250, 8_000), () => this.#resume(sequence))
      this.#connection = this.#connect()
      this.#resumes++
      if (!discord.resume(this.#connection, session.id, sequence)) return this.#lost('INVALIDATED')
      session.feed.read()
      this.#later(random.int(5, 50), () => this.#connected())
    })
  }

  /** No IDENTIFY was spent. */
  #notSent(code: 'CLOSED' | 'CONNECT_FAILED', message: string): void {
    if (!this.#answer || this.state !== 'Connecting') return
    this.#life++
    this.#become('Unidentified')
    this.#settle(notIdentified(code, message))
  }

  #send(): void {
    const { clock, random, discord, readyMs } = this.#thread.env
    this.#identifiedAt = clock.now()
    this.#identifies++
    this.#become('Identifying')
    this.#connection = this.#connect()
    this.#later(random.int(0, 8), () => {
      const verdict = discord.identify(this.#connection as Connection)
      if (verdict === 'silence') return this.#later(READY_TIMEOUT_MS, () => this.#failed('READY_TIMEOUT'))
      if (verdict === 'invalid-session') return this.#later(20, () => this.#failed('INVALID_SESSION'))
      if (typeof verdict === 'object') return this.#later(20, () => this.#refused(verdict.closeCode))
      this.#later(random.int(20, readyMs), () => this.#ready())
    })
  }

  #ready(): void {
    const { env, sink } = this.#thread
    const id = this.#connection?.session?.id as string
    this.#session = {
      id,
      totalShards: this.#totalShards,
      feed: env.discord.feedOf(id, sink, this.#thread),
      lastContactAt: undefined,
    }
    this.#ended = undefined
    if (this.#connection) env.discord.ready(this.#connection)
    this.#connected()
    this.#settle(this.#identified())
  }

  #failed(code: 'READY_TIMEOUT' | 'INVALID_SESSION'): void {
    this.#disconnect()
    this.#become('Unidentified')
    this.#settle(notIdentified(code, `shard ${this.id}: ${code}`, this.#spent()))
  }

  #refused(closeCode: number): void {
    this.#disconnect()
    this.#closeCode = closeCode
    this.#become('Offline')
    this.#settle(notIdentified('FATAL_CLOSE', `close ${closeCode}`, { closeCode, ...this.#spent() }))
  }

  #connected(): void {
    if (this.#connection) this.#connection.ready = true
    if (this.#session) this.#session.lastContactAt = undefined
    this.#recovering = true
    this.#become('Connected')
  }

  /** The session is gone: it needs a new one, and waits for a permit. */
  #lost(how: SessionEnd): void {
    this.#disconnect()
    this.#session = undefined
    this.#ended = how
    this.#become('Unidentified')
  }

  #connect(): Connection {
    const { cluster, reserve } = this.#thread.env
    return {
      ...{ cluster, shardId: this.id, totalShards: this.#totalShards, reserve, session: undefined },
      ...{ ready: false, closed: false, thread: this.#thread },
      onClosed: (sessionLost) => this.#cutOff(sessionLost),
    }
  }

  #cutOff(sessionLost: boolean): void {
    this.#life++
    const { feed } = this.#session ?? {}
    feed?.stop()
    this.#connection = undefined
    if (!this.#session || sessionLost) {
      this.#lost(sessionLost ? 'INVALIDATED' : 'CLOSED')
      return
    }
    this.#session.lastContactAt ??= this.#thread.env.clock.now()
    // What was read in this process is in its queue: it goes on after that, confirmed or not.
    this.#resume(feed?.sequence ?? 0)
  }

  #disconnect(): void {
    if (this.#session) {
      this.#session.feed.stop()
      this.#session.lastContactAt ??= this.#thread.env.clock.now()
    }
    if (this.#connection) this.#thread.env.discord.close(this.#connection)
    this.#connection = undefined
  }

  #become(state: ShardStateName): void {
    const { discord, uid } = this.#thread.env
    discord.trace(`${uid}: shard ${this.id} ${this.state} -> ${state}`)
    this.state = state
    this.#thread.changed(this.id)
  }

  #settle(outcome: IdentifyOutcome): void {
    this.#answer?.(outcome)
    this.#answer = undefined
  }

  #identified(): IdentifyOutcome {
    return { identified: true, identifiedMsAgo: this.#spent().identifiedMsAgo ?? 0 }
  }

  #spent(): { readonly identifiedMsAgo?: number } {
    return this.#identifiedAt === undefined
      ? {}
      : { identifiedMsAgo: this.#thread.env.clock.now() - this.#identifiedAt }
  }

  #later(milliseconds: number, action: () => void): void {
    const life = this.#life
    this.#thread.env.clock.after(milliseconds, () => {
      if (life === this.#life) action()
    })
  }
}
