import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import fastify, { type FastifyInstance } from 'fastify'
import { takeTls } from '../../../sharder/one-port.ts'
import {
  type AssignShards,
  COMMAND_TYPES,
  type Command,
  commandSchema,
  type IdentifyShard,
  type ReleaseShards,
} from '../../../src/protocol/commands.ts'
import { type FailureCode, failure } from '../../../src/protocol/failures.ts'
import { KEEPALIVE_MS, STATE_GATHER_MS } from '../../../src/protocol/limits.ts'
import type { Session } from '../../../src/protocol/session.ts'
import type { Delta, SinkRecord, Snapshot } from '../../../src/protocol/state.ts'
import { authorizationMatches } from '../../../src/support/authorization.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { GatewayShard } from './gateway-shard.ts'

export interface TestWorkerOptions {
  readonly workerId: number
  readonly host: string
  readonly port: number
  /** The key that the manager must present, read for each request as from a mounted file. */
  readonly authorization: () => string
  /** The bot token, read for each IDENTIFY as from a mounted file. */
  readonly token: () => string
  /** It serves TLS as well, with what is mounted now. Default: no. */
  readonly certificate?: () => { readonly cert: string; readonly key: string }
  /** Default: nothing outlives it. */
  readonly state?: WorkerState
}

/** What a pod's emptyDir keeps from one container to the next. */
export interface WorkerState {
  sessions: readonly Session[]
  /** When the container before ended, by performance.now(). */
  endedAt: number
}

/** A worker that is being tested against: the wire of src/protocol in front of real gateway connections. */
export class TestWorker {
  /** The sinks it reports. */
  sinks: readonly SinkRecord[] = [{ name: 'bot', state: 'Flowing', pending: 0 }]
  /** How long its sinks take to confirm what a released shard read, in milliseconds. */
  flushMs = 0
  readonly #options: TestWorkerOptions
  readonly #bootId = randomBytes(8).toString('hex')
  readonly #server: FastifyInstance
  #cut = () => {}
  readonly #shards = new Map<number, GatewayShard>()
  readonly #watchers = new Set<PassThrough>()
  readonly #changed = new Set<number>()
  /** Of a container before this one, of the same pod. */
  readonly #kept: readonly Session[]
  #assignment: Snapshot['assignment']
  #epoch = 0
  #gather: NodeJS.Timeout | undefined

  private constructor(options: TestWorkerOptions) {
    this.#options = options
    this.#server = fastify({
      forceCloseConnections: true,
      serverFactory: (handler) => {
        const server = createServer(handler)
        if (options.certificate) this.#cut = takingTls(server, options.certificate)
        return server
      },
    })
    const { sessions = [], endedAt = 0 } = options.state ?? {}
    const lastContactMsAgo = performance.now() - endedAt
    this.#kept = sessions.map((session) => ({ ...session, lastContactMsAgo }))
    this.#server.addHook('onRequest', async (request, reply) => {
      if (!authorizationMatches(options.authorization())(request.headers.authorization))
        await reply.code(401).send(failure('UNAUTHORIZED', 'wrong key', { error: 'Invalid authorization key.' }))
    })
    this.#server.post('/', async (request, reply) => {
      const answer = await this.#obey(request.body)
      return 'code' in answer ? reply.code(answer.status).send(answer) : answer
    })
    this.#server.get('/shards', (_request, reply) => reply.send(this.#watch()))
  }

  static async start(options: TestWorkerOptions): Promise<TestWorker> {
    const worker = new TestWorker(options)
    await worker.#server.listen({ host: options.host, port: options.port })
    return worker
  }

  /** Shards it holds, ascending. */
  async held(): Promise<number[]> {
    return [...this.#shards.keys()].sort((a, b) => a - b)
  }

  /** The newest that it obeyed. */
  get epoch(): number {
    return this.#epoch
  }

  /** Where it was told that the gateway is. */
  get gatewayUrl(): string | undefined {
    return this.#assignment?.gateway.url
  }

  /** Managers that read its state stream. */
  get watchers(): number {
    return this.#watchers.size
  }

  /** Tells whoever watches what its sinks are. */
  report(sinks: readonly SinkRecord[]): void {
    this.sinks = sinks
    this.#send({ type: 'DELTA', shards: [], gone: [], sinks: [...sinks] })
  }

  /** As SIGTERM does: closes resumably, hands the sessions over, ends. */
  async drain(): Promise<void> {
    await this.#closeAll()
    const last = `${JSON.stringify({ type: 'DRAINED', sessions: this.#sessions() })}\n`
    await Promise.all(
      [...this.#watchers].map((watcher) => {
        const read = once(watcher, 'close')
        watcher.end(last)
        return read
      }),
    )
    await this.#close()
  }

  /** As a lost node does, or `kill -9`: nothing is handed over. */
  async crash(): Promise<void> {
    if (this.#options.state)
      Object.assign(this.#options.state, { sessions: this.#sessions(), endedAt: performance.now() })
    for (const watcher of this.#watchers) watcher.destroy()
    await Promise.all([this.#close(), this.#closeAll()])
  }

  async #close(): Promise<void> {
    const closed = this.#server.close()
    this.#cut()
    await closed
  }

  #sessions(): Session[] {
    return [...this.#shards.values()].map((shard) => shard.session).filter((session) => session !== undefined)
  }

  async #closeAll(): Promise<void> {
    clearTimeout(this.#gather)
    await Promise.all([...this.#shards.values()].map((shard) => shard.close()))
  }

  async #obey(body: unknown): Promise<object | ReturnType<typeof failure>> {
    const parsed = commandSchema.safeParse(body)
    if (!parsed.success) {
      const known = COMMAND_TYPES.includes((body as Command | null)?.type as Command['type'])
      return refusal(known ? 'BAD_REQUEST' : 'UNKNOWN_TYPE', parsed.error.message)
    }
    const command = parsed.data
    if (command.type === 'SEND_PAYLOAD') return refusal('INTERNAL', 'a test worker sends nothing')
    if ((command.epoch ?? this.#epoch) < this.#epoch) return refusal('STALE_EPOCH', 'a newer manager has spoken')
    this.#epoch = command.epoch ?? this.#epoch
    if (command.type === 'ASSIGN_SHARDS') return this.#assign(command)
    if (command.type === 'RELEASE_SHARDS') return this.#release(command)
    return this.#identify(command)
  }

  #assign({ type: _, epoch, sessions, ...assignment }: AssignShards): object {
    this.#assignment = assignment
    const { first, last, withhold, totalShards, gateway } = assignment
    for (let shardId = first; shardId <= last; shardId++) {
      if (withhold.some((range) => shardId >= range.first && shardId <= range.last)) continue
      const known = this.#shards.get(shardId)
      if (known) known.gateway = gateway
      if (known) known.retry()
      else {
        const { workerId, token } = this.#options
        const options = { shardId, totalShards, workerId, token, onChange: (id: number) => this.#note(id) }
        const session = sessions.find((one) => one.shardId === shardId)
        this.#shards.set(shardId, new GatewayShard(options, gateway, session))
      }
      this.#note(shardId)
    }
    this.#send({ type: 'DELTA', shards: [], gone: [], epoch })
    return { assigned: true, epoch, first, last }
  }

  async #release({ shardIds }: ReleaseShards): Promise<object> {
    await delay(this.flushMs)
    const sessions = []
    const released = []
    for (const shardId of shardIds) {
      const shard = this.#shards.get(shardId)
      await shard?.close()
      if (shard?.session) sessions.push(shard.session)
      this.#shards.delete(shardId)
      released.push(shardId)
      this.#note(shardId)
    }
    return { released, sessions }
  }

  async #identify({ shardId, slotInMs }: IdentifyShard): Promise<object> {
    const shard = this.#shards.get(shardId)
    return shard ? shard.identify(slotInMs) : refusal('NOT_ASSIGNED', `shard ${shardId} is not mine`)
  }

  #watch(): PassThrough {
    const stream = new PassThrough()
    this.#watchers.add(stream)
    const keepAlive = setInterval(() => stream.write(line({ type: 'DELTA', shards: [], gone: [] })), KEEPALIVE_MS)
    stream.once('close', () => {
      clearInterval(keepAlive)
      this.#watchers.delete(stream)
    })
    stream.write(
      line({
        type: 'SNAPSHOT',
        workerId: this.#options.workerId,
        bootId: this.#bootId,
        epoch: this.#epoch,
        ...(this.#assignment && { assignment: this.#assignment }),
        draining: false,
        sinks: [...this.sinks],
        shards: [...this.#shards.values()].map(({ record }) => record),
        sessions: this.#kept.filter(({ shardId }) => !this.#shards.has(shardId)),
      }),
    )
    return stream
  }

  #note(shardId: number): void {
    this.#changed.add(shardId)
    this.#gather ??= setTimeout(() => {
      this.#gather = undefined
      const ids = [...this.#changed]
      this.#changed.clear()
      const shards = ids.map((id) => this.#shards.get(id)?.record).filter((record) => record !== undefined)
      this.#send({ type: 'DELTA', shards, gone: ids.filter((id) => !this.#shards.has(id)) })
    }, STATE_GATHER_MS)
  }

  #send(delta: Delta): void {
    for (const watcher of this.#watchers) watcher.write(line(delta))
  }
}

/** As a sharder does. @returns what cuts the connections that the server does not know. */
function takingTls(server: Server, certificate: NonNullable<TestWorkerOptions['certificate']>): () => void {
  const { cut } = takeTls(server, {
    certificate: { read: async () => certificate(), refused: () => {} },
    clock: systemClock,
    logger: createLogger('worker', 'silent'),
  })
  return cut
}

const line = (record: Snapshot | Delta): string => `${JSON.stringify(record)}\n`
const refusal = (code: FailureCode, message: string) => failure(code, message)
