import type { HttpSettings, SinkSettings } from '../../src/protocol/sink-settings.ts'
import { BrokerPublisher } from './broker-publisher.ts'
import { BrokerSecrets } from './broker-secrets.ts'
import { type Broker, brokerOf } from './brokers.ts'
import { BufferedSink, LANES, type SinkOptions } from './buffered-sink.ts'
import { eventFilter } from './event-filter.ts'
import { EventNames } from './event-names.ts'
import { HttpBatchPublisher } from './http-batch-publisher.ts'
import { HttpEndpoint } from './http-endpoint.ts'
import { HttpEventPublisher, REQUESTS_OF_A_LANE } from './http-event-publisher.ts'
import type { Naming } from './message.ts'
import type { Publisher } from './publisher.ts'
import type { Sink } from './sink.ts'
import { Topic } from './topic.ts'

type Options = Omit<SinkOptions, 'name'>

/** Makes the sink that the settings describe. It connects with its first events. */
export function openSink(settings: SinkSettings, options: Options): Sink {
  const { name, http } = settings
  const all = { ...options, name }
  const wanted = eventFilter(settings)
  if (http)
    return new BufferedSink(all, httpPublisher(http, options), { wanted, names: undefined, partitions: undefined })
  const broker = brokerOf(settings)
  const naming = { topic: new Topic(broker.template), names: new EventNames() }
  const partitions = naming.topic.partitioned ? broker.partitions : undefined
  return new BufferedSink(all, brokerPublisher(broker, naming, options), { wanted, names: naming.names, partitions })
}

function httpPublisher(settings: HttpSettings, { clock, timeoutMs }: Options): Publisher {
  const endpoint = (contentType: string, connections: number) =>
    new HttpEndpoint({ settings, clock, contentType, connections, timeoutMs })
  return settings.format === 'Event'
    ? new HttpEventPublisher(endpoint('application/json', LANES * REQUESTS_OF_A_LANE))
    : new HttpBatchPublisher(endpoint('application/x-ndjson', LANES))
}

function brokerPublisher(broker: Broker, naming: Naming, { clock, timeoutMs }: Options): Publisher {
  const secrets = new BrokerSecrets(broker.files, broker.encrypted, clock)
  return new BrokerPublisher({
    clock,
    timeoutMs,
    onUnauthorized: () => secrets.refused(),
    connect: async () => broker.connect(await secrets.read(), naming),
  })
}
