import type { Answer } from '../../../../src/manager/ports.ts'
import type { Identified } from '../../../../src/protocol/commands.ts'
import type { Session } from '../../../../src/protocol/session.ts'
import type { ShardRecord, ShardStateName } from '../../../../src/protocol/state.ts'
import type { Connection } from './discord.ts'
import { type Permit, refusal, type SimWorker } from './worker.ts'

const READY_TIMEOUT_MS = 30_000

/** One shard in a simulated worker. `#life` changes with every fresh start, so that late timers find out. */
export class SimShard {
  readonly id: number
  state: ShardStateName = 'Unidentified'
  readonly #worker: SimWorker
  readonly #totalShards: number
  #connection: Connection | undefined
  #sessionId: string | undefined
  #identifiedAt: number | undefined
  #identifies = 0
  #resumes = 0
  #recovering = false
  #closeCode: number | undefined
  #life = 0
  #answer: ((answer: Answer<Identified>) => void) | undefined

  constructor(worker: SimWorker, id: number, totalShards: number) {
    this.#worker = worker
    this.id = id
    this.#totalShards = totalShards
  }

  record(): ShardRecord {
    const session = this.#session()
    const ago = this.#msAgo()
    return {
      shardId: this.id,
      state: this.state,
      identifies: this.#identifies,
      resumes: this.#resumes,
      recovering: this.#recovering,
      ...(ago !== undefined && { identifiedMsAgo: ago }),
      ...(this.#closeCode !== undefined && { closeCode: this.#closeCode }),
      ...(session && { session }),
    }
  }

  /** Closes it for good in this worker. @returns its session, if it has one. */
  end(): Session[] {
    this.#life++
    const session = this.#session()
    this.#close()
    const spent = this.state === 'Identifying'
    this.#settle(refusal('CLOSED', 'the shard was released', spent ? { identifiedMsAgo: this.#msAgo() } : {}))
    return session ? [session] : []
  }

  /** Assigned anew after a fatal close. */
  revive(): void {
    this.#become('Unidentified')
  }

  resume(sessionId: string): void {
    const { random, discord } = this.#worker.env
    this.#sessionId = sessionId
    this.#become('Resuming')
    this.#later(random.int(10, 400), () => {
      const connection = this.#connect()
      this.#resumes++
      if (!discord.resume(connection, sessionId)) return this.#lost()
      this.#later(random.int(5, 50), () => this.#connected())
    })
  }

  identify(slotInMs: number, permit: Permit): Promise<Answer<Identified>> {
    if (this.state === 'Connected') return Promise.resolve(this.#identified())
    if (this.state !== 'Unidentified')
      return Promise.resolve(refusal('INTERNAL', `shard ${this.id} is ${this.state} already`))
    const { env, permits } = this.#worker
    permits.add(permit)
    this.#become('Connecting')
    const readyInMs = env.random.int(5, 400)
    permit.onRevoke = () => this.#notSent(permit, 'STALE_EPOCH', 'the permit was withdrawn')
    this.#later(Math.max(slotInMs, readyInMs), () => {
      if (env.random.chance(env.faults.connectFails)) return this.#notSent(permit, 'CONNECT_FAILED', 'cannot connect')
      permits.delete(permit)
      permit.onRevoke = () => {}
      this.#send(permit.grantedAt)
    })
    return new Promise((resolve) => {
      this.#answer = resolve
    })
  }

  /** No IDENTIFY was spent. */
  #notSent(permit: Permit, code: 'STALE_EPOCH' | 'CONNECT_FAILED', message: string): void {
    this.#worker.permits.delete(permit)
    permit.onRevoke = () => {}
    this.#life++
    this.#become('Unidentified')
    this.#settle(refusal(code, message))
  }

  #send(grantedAt: number): void {
    const { clock, random, discord, readyMs } = this.#worker.env
    this.#identifiedAt = clock.now()
    this.#identifies++
    this.#become('Identifying')
    const connection = this.#connect(grantedAt)
    this.#later(random.int(0, 8), () => {
      const verdict = discord.identify(connection)
      if (verdict === 'silence') return this.#later(READY_TIMEOUT_MS, () => this.#failed('READY_TIMEOUT'))
      if (verdict === 'invalid-session') return this.#later(20, () => this.#failed('INVALID_SESSION'))
      if (typeof verdict === 'object') return this.#later(20, () => this.#refused(verdict.closeCode))
      this.#later(random.int(20, readyMs), () => {
        this.#sessionId = connection.session?.id
        this.#connected()
        this.#settle(this.#identified())
      })
    })
  }

  #failed(code: 'READY_TIMEOUT' | 'INVALID_SESSION'): void {
    this.#close()
    this.#become('Unidentified')
    this.#settle(refusal(code, `shard ${this.id}: ${code}`, { identifiedMsAgo: this.#msAgo() }))
  }

  #refused(closeCode: number): void {
    this.#close()
    this.#closeCode = closeCode
    this.#become('Offline')
    const more = { closeCode, identifiedMsAgo: this.#msAgo() }
    this.#settle(refusal('FATAL_CLOSE', `shard ${this.id}: close ${closeCode}`, more))
  }

  #connected(): void {
    if (this.#connection) this.#connection.ready = true
    this.#recovering = true
    this.#become('Connected')
  }

  /** The session is gone: it needs a new one, and waits for a permit. */
  #lost(): void {
    this.#close()
    this.#sessionId = undefined
    this.#recovering = true
    this.#become('Unidentified')
  }

  #connect(grantedAt = 0): Connection {
    const { cluster, reserve } = this.#worker.env
    const connection: Connection = {
      cluster,
      shardId: this.id,
      totalShards: this.#totalShards,
      reserve,
      grantedAt,
      session: undefined,
      ready: false,
      closed: false,
      onClosed: (sessionLost) => this.#disconnected(sessionLost),
    }
    this.#connection = connection
    return connection
  }

  #disconnected(sessionLost: boolean): void {
    this.#life++
    this.#connection = undefined
    if (sessionLost || this.#sessionId === undefined) this.#lost()
    else this.resume(this.#sessionId)
  }

  #close(): void {
    if (this.#connection) this.#worker.env.discord.close(this.#connection)
    this.#connection = undefined
  }

  #become(state: ShardStateName): void {
    const { discord, uid } = this.#worker.env
    discord.trace(`${uid}: shard ${this.id} ${this.state} -> ${state}`)
    this.state = state
    this.#worker.changed(this.id)
  }

  #settle(answer: Answer<Identified>): void {
    this.#answer?.(answer)
    this.#answer = undefined
  }

  #identified(): Answer<Identified> {
    const { ordinal: workerId } = this.#worker.env
    return {
      ok: true,
      value: { identified: true, shardId: this.id, workerId, identifiedMsAgo: this.#msAgo() ?? 0 },
    }
  }

  #msAgo(): number | undefined {
    return this.#identifiedAt === undefined ? undefined : this.#worker.env.clock.now() - this.#identifiedAt
  }

  #session(): Session | undefined {
    if (this.#sessionId === undefined || (this.state !== 'Connected' && this.state !== 'Resuming')) return undefined
    return {
      shardId: this.id,
      sessionId: this.#sessionId,
      resumeGatewayUrl: 'wss://gateway.invalid',
      sequence: 0,
      totalShards: this.#totalShards,
      lastContactMsAgo: 0,
    }
  }

  #later(milliseconds: number, action: () => void): void {
    const life = this.#life
    this.#worker.env.clock.after(milliseconds, () => {
      if (life === this.#life) action()
    })
  }
}
