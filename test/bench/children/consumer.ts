// A consumer of a broker: it counts what the broker has, which is what the broker has confirmed. Its argument: a SinkAddress.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { jetstream } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { connect as connectRabbitmq } from 'amqplib'
import { Redis } from 'ioredis'
import { STREAM } from '../../support/servers/nats.ts'
import { QUEUE } from '../../support/servers/rabbitmq.ts'
import { type SinkAddress, STREAM_KEY } from '../harness/sink-address.ts'
import { endWithBenchmark, takeOrders } from './orders.ts'
import { sendTimes, Tally } from './tally.ts'

type BrokerAddress = Extract<SinkAddress, { readonly port: number }>

const READ_AT_ONCE = 1_000
const tally = new Tally()
endWithBenchmark()

const CONSUMERS = { nats: consumeNats, redis: consumeRedis, rabbitmq: consumeRabbitmq }
const address = JSON.parse(process.argv[2] ?? '{}') as BrokerAddress
await CONSUMERS[address.kind](address)

const server = createServer((request, response) => tally.answer(request, response))
server.listen(0, '127.0.0.1', () => {
  takeOrders({}, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})

function take(body: Buffer): void {
  tally.events++
  tally.bytes += body.length
  if (tally.timing) tally.time(sendTimes(body))
}

async function consumeNats({ port, username: user, password: pass }: BrokerAddress): Promise<void> {
  const connection = await connectNats({ servers: `127.0.0.1:${port}`, user, pass })
  const consumer = await jetstream(connection).consumers.get(STREAM)
  const messages = await consumer.consume({ max_messages: READ_AT_ONCE })
  void (async () => {
    for await (const { data } of messages) take(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
  })()
}

async function consumeRedis({ port, username, password }: BrokerAddress): Promise<void> {
  const redis = new Redis({ host: '127.0.0.1', port, username, password })
  void (async () => {
    for (let last = '0'; ; ) {
      const answer = await redis.xreadBuffer('COUNT', READ_AT_ONCE, 'BLOCK', 0, 'STREAMS', STREAM_KEY, last)
      const entries = (answer?.[0] as [Buffer, [Buffer, Buffer[]][]] | undefined)?.[1] ?? []
      // The event is the last field, whoever wrote it.
      for (const [, fields] of entries) take(fields.at(-1) ?? Buffer.alloc(0))
      last = entries.at(-1)?.[0].toString() ?? last
    }
  })()
}

async function consumeRabbitmq({ port, username, password }: BrokerAddress): Promise<void> {
  const connection = await connectRabbitmq({ hostname: '127.0.0.1', port, username, password })
  const channel = await connection.createChannel()
  await channel.consume(QUEUE, (message) => message && take(message.content), { noAck: true })
}
