import type { SinkSettings } from '../../src/protocol/sink-settings.ts'
import type { BrokerLink } from './broker-publisher.ts'
import type { BrokerCredentials, BrokerFiles } from './broker-secrets.ts'
import type { Naming } from './message.ts'

/** What sinks need to know of a kind of broker. */
export interface Broker {
  readonly files: BrokerFiles
  /** Whether the URL insists on encryption. */
  readonly encrypted: boolean
  /** Template of the topic. */
  readonly template: string
  readonly partitions: number
  readonly connect: (credentials: BrokerCredentials, naming: Naming) => Promise<BrokerLink>
}

/** The broker that the settings name. Client libraries are loaded with the first connection: each is some MB in every thread. */
export function brokerOf({ name, nats, redis, rabbitmq }: SinkSettings): Broker {
  if (nats)
    return {
      files: nats,
      encrypted: nats.servers.some((url) => url.startsWith('tls:')),
      template: nats.subject,
      partitions: nats.partitions,
      connect: async (...given) => (await import('./nats-link.ts')).connectNats(nats, ...given),
    }
  if (redis)
    return {
      files: redis,
      encrypted: redis.url.startsWith('rediss:'),
      template: redis.stream,
      partitions: redis.partitions,
      connect: async (...given) => (await import('./redis-link.ts')).connectRedis(redis, ...given),
    }
  if (rabbitmq)
    return {
      files: rabbitmq,
      encrypted: rabbitmq.url.startsWith('amqps:'),
      template: rabbitmq.routingKey,
      partitions: rabbitmq.partitions,
      connect: async (...given) => (await import('./rabbitmq-link.ts')).connectRabbitmq(rabbitmq, ...given),
    }
  throw new Error(`the sink ${name} has no kind: give it http, nats, redis or rabbitmq`)
}
