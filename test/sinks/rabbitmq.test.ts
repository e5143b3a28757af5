import type { Broker } from '../support/servers/broker.ts'
import { EXCHANGE, QUEUE, RabbitmqServer } from '../support/servers/rabbitmq.ts'
import { type Credentials, losesNothing } from './loss.ts'

const settings = (port: number, { usernameFile, passwordFile, tls }: Credentials) => ({
  rabbitmq: {
    url: `amqp://localhost:${port}`,
    exchange: EXCHANGE,
    routingKey: '{type}.{shard}',
    partitions: 4,
    unroutable: 'Keep' as const,
    usernameFile,
    passwordFile,
    tls,
  },
})

losesNothing('rabbitmq', {
  start: (options) => RabbitmqServer.start(options),
  empty: async (broker: Broker) => {
    const server = broker as RabbitmqServer
    await server.with((channel) => channel.deleteQueue(QUEUE))
    await server.declare()
  },
  settings,
})
