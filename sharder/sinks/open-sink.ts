import type { SinkSettings } from '../../src/protocol/sink-settings.ts'
import { type BrokerLink, BrokerPublisher } from './broker-publisher.ts'
import { type BrokerFiles, BrokerSecrets } from './broker-secrets.ts'
import { BufferedSink, LANES, type SinkOptions } from './buffered-sink.ts'
import { eventFilter } from './event-filter.ts'
import { EventNames } from './event-names.ts'
import { HttpBatchPublisher } from './http-batch-publisher.ts'
import { HttpEndpoint } from './http-endpoint.ts'
import { HttpEventPublisher, REQUESTS_OF_A_LANE } from './http-event-publisher.ts'
import type { Publisher } from './publisher.ts'
import type { Sink } from './sink.ts'
import { Topic } from './topic.ts'

type Options = Omit<SinkOptions, 'name'>

/** Makes the sink that the settings describe. It connects with its first events. */
export function openSink(settings: SinkSettings, options: Options): Sink {
  const { name, http, nats, redis, rabbitmq } = settings
  const wanted = eventFilter(settings)
  const all = { ...options, name }
  if (http)
    return new BufferedSink(all, httpPublisher(http, options), { wanted, names: undefined, partitions: undefined })
  const names = new EventNames()
  const broker = (template: string, partitions: number, publisherOf: (topic: Topic) => Publisher) => {
    const topic = new Topic(template)
    return new BufferedSink(all, publisherOf(topic), {
      wanted,
      names,
      partitions: topic.partitioned ? partitions : undefined,
    })
  }
  // Client libraries are loaded only where their kind is configured: each is some MB in every thread.
  if (nats)
    return broker(nats.subject, nats.partitions, (topic) =>
      brokerPublisher(
        nats,
        nats.servers.some((url) => url.startsWith('tls:')),
        options,
        async (secrets) => {
          const { connectNats } = await import('./nats-link.ts')
          return connectNats(nats, await secrets.read(), { topic, names })
        },
      ),
    )
  if (redis)
    return broker(redis.stream, redis.partitions, (topic) =>
      brokerPublisher(redis, redis.url.startsWith('rediss:'), options, async (secrets) => {
        const { connectRedis } = await import('./redis-link.ts')
        return connectRedis(redis, await secrets.read(), { topic, names })
      }),
    )
  if (rabbitmq)
    return broker(rabbitmq.routingKey, rabbitmq.partitions, (topic) =>
      brokerPublisher(rabbitmq, rabbitmq.url.startsWith('amqps:'), options, async (secrets) => {
        const { connectRabbitmq } = await import('./rabbitmq-link.ts')
        return connectRabbitmq(rabbitmq, await secrets.read(), { topic, names })
      }),
    )
  throw new Error(`the sink ${name} has no kind: give it http, nats, redis or rabbitmq`)
}

function httpPublisher(settings: NonNullable<SinkSettings['http']>, { clock, timeoutMs }: Options): Publisher {
  const endpoint = (contentType: string, connections: number) =>
    new HttpEndpoint({ settings, clock, contentType, connections, timeoutMs })
  return settings.format === 'Event'
    ? new HttpEventPublisher(endpoint('application/json', LANES * REQUESTS_OF_A_LANE))
    : new HttpBatchPublisher(endpoint('application/x-ndjson', LANES))
}

function brokerPublisher(
  files: BrokerFiles,
  encrypted: boolean,
  { clock, timeoutMs }: Options,
  connect: (secrets: BrokerSecrets) => Promise<BrokerLink>,
): Publisher {
  const secrets = new BrokerSecrets(files, encrypted, clock)
  const onUnauthorized = () => secrets.refused()
  return new BrokerPublisher({ clock, timeoutMs, onUnauthorized, connect: () => connect(secrets) })
}
