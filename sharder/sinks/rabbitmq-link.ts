import type { Socket } from 'node:net'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import type { RabbitmqSettings } from '../../src/protocol/sink-settings.ts'
import type { BrokerLink } from './broker-publisher.ts'
import type { BrokerCredentials } from './broker-secrets.ts'
import { inShardOrder } from './in-shard-order.ts'
import { messageOf, type Naming } from './message.ts'
import { Refused } from './publisher.ts'
import type { Slab } from './slab.ts'

const CONNECT_TIMEOUT_MS = 5_000
const HEARTBEAT_SECONDS = 10

/** Connects to RabbitMQ and looks for the exchange. @throws Refused when credentials are wrong or it is not there. */
export async function connectRabbitmq(
  settings: RabbitmqSettings,
  { username, password, tls }: BrokerCredentials,
  naming: Naming,
): Promise<BrokerLink> {
  const { hostname, port, pathname } = new URL(settings.url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const address = {
    protocol: tls ? 'amqps' : 'amqp',
    hostname: host,
    port: port === '' ? (tls ? 5671 : 5672) : Number(port),
    vhost: decodeURIComponent(pathname.slice(1)) || '/',
    heartbeat: HEARTBEAT_SECONDS,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  }
  let connection: ChannelModel | undefined
  try {
    connection = await connect(address, { timeout: CONNECT_TIMEOUT_MS, ...tls })
    const link = new RabbitmqLink(connection, await connection.createConfirmChannel(), settings, naming)
    await link.checkExchange()
    return link
  } catch (error) {
    void connection?.close().catch(() => undefined)
    throw refused(error, settings)
  }
}

/** Events as persistent messages: each is confirmed when every queue that it was routed to has it. */
class RabbitmqLink implements BrokerLink {
  readonly #connection: ChannelModel
  readonly #channel: ConfirmChannel
  readonly #settings: RabbitmqSettings
  readonly #naming: Naming
  /** Ids of messages that came back because no queue is bound for them; their confirmation follows. */
  readonly #returned = new Set<string>()
  #ended: unknown
  #blocked: string | undefined

  constructor(connection: ChannelModel, channel: ConfirmChannel, settings: RabbitmqSettings, naming: Naming) {
    this.#connection = connection
    this.#channel = channel
    this.#settings = settings
    this.#naming = naming
    const ended = (error?: unknown) => {
      this.#ended ??= error ?? new Error('the connection was closed')
    }
    for (const emitter of [connection, channel]) {
      emitter.on('error', ended)
      emitter.on('close', ended)
    }
    connection.on('blocked', (reason: string) => {
      this.#blocked = reason
    })
    connection.on('unblocked', () => {
      this.#blocked = undefined
    })
    channel.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)))
  }

  get usable(): boolean {
    return this.#ended === undefined
  }

  async checkExchange(): Promise<void> {
    await this.#channel.checkExchange(this.#settings.exchange)
  }

  async publish(slab: Slab): Promise<void> {
    const failure = await inShardOrder(slab, Number.POSITIVE_INFINITY, (i) => this.#send(slab, i))
    if (failure !== undefined) throw refused(this.#ended ?? failure.error, this.#settings)
  }

  async close(): Promise<void> {
    const why = this.#blocked === undefined ? '' : ` (${this.#blocked}): free its memory or disk`
    this.#ended ??= new Refused({ kind: 'failed', message: `RabbitMQ confirmed nothing for too long${why}` })
    // A polite close waits for an answer, which a cut network or a blocked server does not give.
    const { stream } = this.#connection.connection as unknown as { readonly stream: Socket }
    // With an error, or amqplib goes on waiting for the server.
    stream.destroy(new Error('the connection was given up'))
  }

  #send(slab: Slab, i: number): Promise<void> {
    const { topic, type, id } = messageOf(slab, i, this.#naming)
    const { exchange, unroutable } = this.#settings
    const messageId = id ?? `${slab.index?.mark(i).session}-${slab.index?.sequence(i)}-${type}`
    const options = {
      persistent: true,
      mandatory: unroutable === 'Keep',
      contentType: 'application/json',
      type,
      messageId,
    }
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      this.#channel.publish(exchange, topic, slab.event(i), options, (error: unknown) => {
        if (this.#returned.delete(messageId)) reject(unbound(topic, exchange))
        else if (error) reject(this.#ended ?? nacked(topic))
        else resolve()
      })
    })
  }
}

const unbound = (key: string, exchange: string) =>
  new Refused({
    kind: 'failed',
    message: `no queue is bound to the exchange ${exchange} for the routing key ${key}: bind one, leave the type out with include or exclude, or set unroutable: Drop`,
  })

const nacked = (key: string) =>
  new Refused({ kind: 'failed', message: `a queue refused an event for ${key}: see its limits (x-overflow) and state` })

function refused(error: unknown, { exchange }: RabbitmqSettings): unknown {
  if (error instanceof Refused) return error
  const { message = '', code } = error as { message?: string; code?: unknown }
  if (/ACCESS[-_]REFUSED/.test(message)) {
    const what = message.includes('Handshake')
      ? 'RabbitMQ refused the credentials: put the right ones into their Secret'
      : `RabbitMQ does not let this user write to the exchange ${exchange}: give it that permission`
    return new Refused({ kind: 'unauthorized', message: what }, { cause: error })
  }
  if (code === 404)
    return new Refused(
      { kind: 'failed', message: `RabbitMQ has no exchange ${exchange}: declare it, durable and of type topic` },
      { cause: error },
    )
  return error
}
