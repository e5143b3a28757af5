import { jetstreamManager } from '@nats-io/jetstream'
import type { Broker } from '../support/servers/broker.ts'
import { NatsServer, STREAM } from '../support/servers/nats.ts'
import { type Credentials, losesNothing } from './loss.ts'

const settings = (port: number, { usernameFile, passwordFile, tls }: Credentials) => ({
  nats: {
    servers: [`nats://localhost:${port}`],
    subject: 'discord.{type}.{shard}',
    partitions: 4,
    usernameFile,
    passwordFile,
    tls,
  },
})

losesNothing('nats', {
  start: (options) => NatsServer.start(options),
  empty: async (broker: Broker) => {
    const server = broker as NatsServer
    await server.with(async (connection) => {
      const manager = await jetstreamManager(connection)
      await manager.streams.delete(STREAM).catch(() => undefined)
    })
    await server.createStream()
  },
  settings,
})
