import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { freePorts } from '../apiserver/ports.ts'
import { Broker, type Delivered, USER } from './broker.ts'
import type { NatsAccess } from './nats-accounts.ts'
import type { ServerPrograms } from './programs.ts'

export const STREAM = 'DISCORD'

const PASSWORD: NatsAccess = {
  configuration: `authorization { user: "${USER.username}", password: "${USER.password}" }`,
  client: { user: USER.username, pass: USER.password },
}

/** nats-server with JetStream on files. */
export class NatsServer extends Broker {
  readonly #access: NatsAccess

  constructor(port: number, tls: boolean, access: NatsAccess) {
    super(port, tls)
    this.#access = access
  }

  static async start({ tls = false, access = PASSWORD } = {}): Promise<NatsServer> {
    const [port = 0] = await freePorts(1)
    const server = new NatsServer(port, tls, access)
    await server.start()
    return server
  }

  /** Makes the stream of all `discord.` subjects. */
  async createStream(config: Partial<StreamConfig> = {}): Promise<void> {
    await this.with(async (connection) => {
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name: STREAM, subjects: ['discord.>'], ...config })
    })
  }

  async read(): Promise<Delivered[]> {
    return this.with(async (connection) => {
      const manager = await jetstreamManager(connection)
      const { state } = await manager.streams.info(STREAM)
      const found: Delivered[] = []
      if (state.messages === 0) return found
      const consumer = await jetstream(connection).consumers.get(STREAM)
      for await (const message of await consumer.consume()) {
        found.push({ topic: message.subject, body: message.string() })
        if (found.length === state.messages) break
      }
      return found
    })
  }

  /** Runs `work` with a connection of a consumer. */
  async with<T>(work: (connection: NatsConnection) => Promise<T>): Promise<T> {
    const connection = await connect({
      servers: `localhost:${this.port}`,
      ...this.#access.client,
      ...(this.tls && { tls: { ca: readFileSync(this.caFile, 'utf8') } }),
    })
    try {
      return await work(connection)
    } finally {
      await connection.close()
    }
  }

  protected async command({ nats }: ServerPrograms) {
    const { directory } = this
    const tls = `tls { cert_file: "${directory}/tls.crt", key_file: "${directory}/tls.key" }`
    const config = this.file(
      'nats.conf',
      `listen: "127.0.0.1:${this.port}"
jetstream { store_dir: "${join(directory, 'store')}" }
${this.#access.configuration}
${this.tls ? tls : ''}`,
    )
    return { command: nats, args: ['--config', config] }
  }

  protected override ready(): Promise<boolean> {
    return this.with(async (connection) => {
      await jetstreamManager(connection)
      return true
    })
  }
}
