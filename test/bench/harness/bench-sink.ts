import { jetstreamManager } from '@nats-io/jetstream'
import type { RunDirectory } from '../../../src/local/run-directory.ts'
import type { SinkSettings } from '../../../src/protocol/sink-settings.ts'
import { type Broker, USER } from '../../support/servers/broker.ts'
import { NatsServer, STREAM } from '../../support/servers/nats.ts'
import { EXCHANGE, QUEUE, RabbitmqServer } from '../../support/servers/rabbitmq.ts'
import { RedisServer } from '../../support/servers/redis.ts'
import { SinkProcess } from './sink.ts'
import { type SinkAddress, STREAM_KEY } from './sink-address.ts'

/** The kinds of sinks, in the order in which they are measured. */
export type SinkKind = SinkAddress['kind']

/** A sink for everybody: a real server, and who counts what it confirmed. */
export interface BenchSink {
  readonly address: SinkAddress
  readonly process: SinkProcess
  /** As a sharder is told of it. */
  readonly settings: SinkSettings
  /** Throws away what it keeps. */
  empty(): Promise<void>
}

/** Starts it; it ends with `ending`. */
export async function startSink(
  kind: SinkKind,
  directory: RunDirectory,
  ending: AsyncDisposableStack,
): Promise<BenchSink> {
  if (kind === 'http' || kind === 'http-event') return startHttp(kind, ending)
  const { server, empty } = await BROKERS[kind]()
  ending.adopt(server, (s) => s.close())
  const address: SinkAddress = { kind, port: server.port, ...USER }
  const process = ending.adopt(await SinkProcess.start(address), (s) => s.stop())
  return { address, process, empty, settings: brokerSettings(kind, server.port, directory) }
}

async function startHttp(kind: 'http' | 'http-event', ending: AsyncDisposableStack): Promise<BenchSink> {
  const process = ending.adopt(await SinkProcess.start(), (s) => s.stop())
  const { url } = process
  const settings: SinkSettings = { name: 'bench', http: { url, format: kind === 'http' ? 'Batch' : 'Event' } }
  return { address: { kind, url }, process, settings, empty: async () => {} }
}

interface StartedBroker {
  readonly server: Broker
  readonly empty: () => Promise<void>
}

const BROKERS: Readonly<Record<'nats' | 'redis' | 'rabbitmq', () => Promise<StartedBroker>>> = {
  async nats() {
    const server = await NatsServer.start()
    await server.createStream()
    const purge = () => server.with(async (connection) => void (await purgeStream(connection)))
    return { server, empty: purge }
  },
  async redis() {
    const server = await RedisServer.start()
    return { server, empty: () => server.with(async (redis) => void (await redis.xtrim(STREAM_KEY, 'MAXLEN', 0))) }
  },
  async rabbitmq() {
    const server = await RabbitmqServer.start()
    await server.declare()
    return { server, empty: () => server.with(async (channel) => void (await channel.purgeQueue(QUEUE))) }
  },
}

async function purgeStream(connection: Parameters<typeof jetstreamManager>[0]): Promise<void> {
  const manager = await jetstreamManager(connection)
  await manager.streams.purge(STREAM)
}

function brokerSettings(kind: 'nats' | 'redis' | 'rabbitmq', port: number, directory: RunDirectory): SinkSettings {
  const common = {
    partitions: 1,
    usernameFile: directory.secret('username', USER.username),
    passwordFile: directory.secret('password', USER.password),
  }
  const [name, host] = ['bench', `127.0.0.1:${port}`]
  if (kind === 'nats')
    return { name, nats: { ...common, servers: [`nats://${host}`], subject: 'discord.{shard}.{type}' } }
  if (kind === 'redis') return { name, redis: { ...common, url: `redis://${host}`, stream: STREAM_KEY } }
  const route = { exchange: EXCHANGE, routingKey: '{shard}.{type}', unroutable: 'Keep' as const }
  return { name, rabbitmq: { ...common, ...route, url: `amqp://${host}` } }
}
