import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Channel, connect } from 'amqplib'
import { type Daemon, startDaemon } from '../apiserver/daemon.ts'
import { freePorts } from '../apiserver/ports.ts'
import { Broker, type Delivered, USER } from './broker.ts'
import { type ServerPrograms, serverPrograms } from './programs.ts'

export const QUEUE = 'events'
export const EXCHANGE = 'discord'

interface Ports {
  readonly amqp: number
  readonly epmd: number
  readonly distribution: number
}

/** RabbitMQ as one node of its own, with Erlang's port mapper on a port of its own. */
export class RabbitmqServer extends Broker {
  readonly #ports: Ports
  #epmd: Daemon | undefined

  constructor(ports: Ports, tls: boolean) {
    super(ports.amqp, tls)
    this.#ports = ports
  }

  static async start({ tls = false } = {}): Promise<RabbitmqServer> {
    const [amqp = 0, epmd = 0, distribution = 0] = await freePorts(3)
    const server = new RabbitmqServer({ amqp, epmd, distribution }, tls)
    const programs = await serverPrograms()
    const log = join(server.directory, 'epmd.log')
    const args = ['-port', String(epmd), '-address', '127.0.0.1']
    server.#epmd = startDaemon(programs.epmd, args, log, '', programs.environment)
    await server.start()
    return server
  }

  /** Declares the exchange and a queue that takes everything from it. */
  async declare(queue: Record<string, unknown> = {}): Promise<void> {
    await this.with(async (channel) => {
      await channel.assertExchange(EXCHANGE, 'topic', { durable: true })
      await channel.assertQueue(QUEUE, { durable: true, arguments: queue })
      await channel.bindQueue(QUEUE, EXCHANGE, '#')
    })
  }

  /** What is in the queue; it is empty afterwards. */
  async read(): Promise<Delivered[]> {
    return this.with(async (channel) => {
      const { messageCount } = await channel.checkQueue(QUEUE)
      const found: Delivered[] = []
      if (messageCount === 0) return found
      await channel.prefetch(1_000)
      await new Promise<void>((resolve) => {
        void channel.consume(QUEUE, (message) => {
          if (!message) return
          found.push({ topic: message.fields.routingKey, body: message.content.toString() })
          if (found.length % 500 === 0 || found.length === messageCount) channel.ack(message, true)
          if (found.length === messageCount) resolve()
        })
      })
      return found
    })
  }

  /** Runs `work` with a channel of a consumer. */
  async with<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const address = { protocol: this.tls ? 'amqps' : 'amqp', hostname: 'localhost', port: this.port, ...USER }
    const connection = await connect(address, this.tls ? { ca: readFileSync(this.caFile) } : {})
    connection.on('error', () => undefined)
    try {
      return await work(await connection.createChannel())
    } finally {
      await connection.close().catch(() => undefined)
    }
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#epmd?.stop()
  }

  protected async command({ rabbitmq }: ServerPrograms) {
    const { directory, port, tls } = this
    const { epmd, distribution } = this.#ports
    const listen = tls
      ? `listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:${port}\nssl_options.cacertfile = ${directory}/tls.crt\nssl_options.certfile = ${directory}/tls.crt\nssl_options.keyfile = ${directory}/tls.key`
      : `listeners.tcp.1 = 127.0.0.1:${port}`
    const config = this.file(
      'rabbitmq.conf',
      `${listen}
default_user = ${USER.username}
default_pass = ${USER.password}
vm_memory_high_watermark.absolute = 512MB
log.console = true
log.file = false
`,
    )
    return {
      command: rabbitmq,
      args: [],
      environment: {
        // The program itself instead of a script around it: signals reach it, and its id is the one to end.
        RUNNING_UNDER_SYSTEMD: 'true',
        HOME: directory,
        RABBITMQ_CONFIG_FILE: config,
        RABBITMQ_CONF_ENV_FILE: join(directory, 'none'),
        RABBITMQ_ENABLED_PLUGINS_FILE: this.file('plugins', '[].\n'),
        RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
        RABBITMQ_LOG_BASE: join(directory, 'logs'),
        RABBITMQ_NODENAME: `sinks${port}@localhost`,
        RABBITMQ_DIST_PORT: String(distribution),
        ERL_EPMD_PORT: String(epmd),
        ERL_EPMD_ADDRESS: '127.0.0.1',
      },
    }
  }

  protected override ready(): Promise<boolean> {
    return this.with(async () => true)
  }
}
