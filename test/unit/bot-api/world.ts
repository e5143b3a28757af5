import { pino } from 'pino'
import { afterEach } from 'vitest'
import { Desk } from '../../../src/bot-api/desk.ts'
import { type ApiServer, startApiServer } from '../../../src/bot-api/server.ts'
import type { ApiTarget } from '../../../src/bot-api/source.ts'
import type { Ask, Question, Wire } from '../../../src/bot-api/wire.ts'
import { FROM_STRANGERS } from '../../../src/limits.ts'
import type { WorkerPort } from '../../../src/manager/ports.ts'
import { ShardDirectory } from '../../../src/manager/shard-directory.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import type { Payload, SendResult } from '../../../src/protocol/send-payload.ts'
import type { ShardRecord } from '../../../src/protocol/state.ts'
import type { Clock } from '../../../src/support/clock.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord } from '../manager/a-link.ts'

export const KEY = 'the-key-of-bot'
export const SHARDS = 4
/** On shard 3 of 4. */
export const GUILD = String((7n << 22n) + 5n)
export const PRESENCE = { since: null, activities: [{ name: 'chess', type: 0 }], status: 'idle', afk: false }

/** A payload that may go on any shard. */
export const SOUNDS = { op: 31, d: { guild_ids: [GUILD] } }

/** A worker's answer for a shard on which it did not send. */
export const notSent = (
  shardId: number,
  code: 'SEND_LIMITED' | 'NOT_CONNECTED',
  retryAfterMs?: number,
): SendResult => ({
  ...{ shardId, sent: false, code, message: 'It was not sent.' },
  ...(retryAfterMs !== undefined && { retryAfterMs }),
})

/** An answer with its parts read. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what it is, is what tests ask
  readonly body: any
}

/** A real server with one ShardCluster `ns/bot` of 4 shards on 2 workers, which a test answers for. */
export class ApiWorld {
  readonly clock = new VirtualClock()
  readonly logged: string[] = []
  readonly #logger = pino({ level: 'trace' }, { write: (line: string) => void this.logged.push(line) })
  readonly sent: { readonly shardIds: readonly number[]; readonly payload: Payload; readonly withinMs: number }[] = []
  readonly links = new Map<number, WorkerLink>()
  /** What the Secret says; undefined: there is no such key; an Error: it cannot be read. */
  secret: string | undefined | Error = KEY
  reads = 0
  /** How long it takes to read it, on the clock. */
  readMs = 0
  enabled = true
  /** What the workers answer, instead of having sent it. */
  send: WorkerPort['send'] | undefined
  totalShards: number | undefined = SHARDS
  /** What the server asked of the main thread. */
  readonly asked: Question[] = []
  /** Refusals of a key wait on the clock, as they do; otherwise no test has to move it for one. */
  holdsRefusals = false
  readonly #desk = new Desk({ clock: this.clock, logger: this.#logger })
  #api: ApiServer | undefined

  get api(): ApiServer {
    if (!this.#api) throw new Error('not started')
    return this.#api
  }

  async start(serving = true): Promise<this> {
    const [logger, clock] = [this.#logger, this.#serverClock()]
    this.#api = await startApiServer({ host: '127.0.0.1', port: 0, clock, logger, ask: this.#ask })
    for (const ordinal of [0, 1])
      this.worker(
        ordinal,
        [2 * ordinal, 2 * ordinal + 1].map((shardId) => aRecord(shardId)),
      )
    if (serving) this.serve()
    return this
  }

  worker(ordinal: number, records: readonly ShardRecord[]): void {
    const send: WorkerPort['send'] = async (command, signal) => {
      this.sent.push(command)
      if (this.send) return this.send(command, signal)
      return { ok: true, value: { results: command.shardIds.map((shardId) => ({ shardId, sent: true, waitedMs: 7 })) } }
    }
    this.links.set(ordinal, aLink(ordinal, this.clock, records, { send }))
  }

  /** Time in which the workers go on being heard. */
  async pass(milliseconds: number): Promise<void> {
    for (let left = milliseconds; left > 0; left -= 5_000) {
      await this.clock.advance(Math.min(left, 5_000))
      for (const { view } of this.links.values()) view.apply({ type: 'DELTA', shards: [], gone: [] }, this.clock.now())
    }
  }

  serve(): () => void {
    const standDown = this.#desk.serve({ find: (namespace, name) => this.#find(namespace, name) })
    this.api.leading(true)
    return () => {
      standDown()
      this.api.leading(false)
    }
  }

  /** `path` below the ShardCluster; `body` as JSON. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    authorization: string | null = `Bearer ${KEY}`,
  ): Promise<Answer> {
    return this.raw(method, `/v1/shardclusters/ns/bot${path}`, body, authorization)
  }

  async raw(
    method: string,
    path: string,
    body?: unknown,
    authorization: string | null = `Bearer ${KEY}`,
  ): Promise<Answer> {
    const response = await fetch(`${this.api.url}${path}`, {
      method,
      headers: {
        ...(authorization !== null && { authorization }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, body: await response.json() }
  }

  async close(): Promise<void> {
    await this.api.close()
    for (const link of this.links.values()) await link.stop()
  }

  /** As between two threads: nothing crosses but copies. */
  readonly #ask: Ask = async <K extends keyof Wire>(
    type: K,
    cluster: Question['cluster'],
    more: Wire[K]['ask'],
    signal = new AbortController().signal,
  ) => {
    const question = structuredClone({ type, cluster, ...more }) as Question
    this.asked.push(question)
    return structuredClone(await this.#desk.answer(question, signal)) as Wire[K]['answer']
  }

  #serverClock(): Clock {
    const { clock } = this
    return {
      now: () => clock.now(),
      date: () => clock.date(),
      after: (milliseconds, action) => {
        if (this.holdsRefusals || milliseconds > FROM_STRANGERS.refusalMs) return clock.after(milliseconds, action)
        const soon = setImmediate(action)
        return () => clearImmediate(soon)
      },
    }
  }

  #find(namespace: string, name: string): ApiTarget | undefined {
    if (namespace !== 'ns' || name !== 'bot') return undefined
    const key = {
      id: 'ns/bot/api-authorization',
      read: async () => {
        this.reads++
        if (this.readMs > 0) await new Promise<void>((go) => this.clock.after(this.readMs, go))
        if (this.secret instanceof Error) throw this.secret
        return this.secret
      },
    }
    const directory = new ShardDirectory({
      links: this.links,
      totalShards: () => this.totalShards,
      ownerOf: (shardId) => Math.floor(shardId / 2),
      clock: this.clock,
    })
    return { namespace, name, key: this.enabled ? key : undefined, bot: 'application', directory }
  }
}

/** Worlds that end with their test. */
export function worlds(): { start(serving?: boolean): Promise<ApiWorld> } {
  const open: ApiWorld[] = []
  afterEach(async () => {
    for (const world of open.splice(0)) await world.close()
  })
  return {
    async start(serving) {
      const world = new ApiWorld()
      open.push(world)
      return world.start(serving)
    },
  }
}
