import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RabbitmqSettings } from '../../src/protocol/sink-settings.ts'
import { EXCHANGE, QUEUE, RabbitmqServer } from '../support/servers/rabbitmq.ts'
import { until } from '../support/sharder.ts'
import { SinkUnderTest } from './sink-under-test.ts'
import { add, Traffic } from './traffic.ts'

let server: RabbitmqServer
let test: SinkUnderTest
beforeAll(async () => {
  server = await RabbitmqServer.start()
})
afterAll(() => server?.close())
beforeEach(() => {
  test = new SinkUnderTest()
})
afterEach(async () => {
  await test.close()
  await server.with(async (channel) => {
    await channel.deleteQueue(QUEUE)
    await channel.deleteExchange(EXCHANGE)
  })
})

const open = (more: Partial<RabbitmqSettings> = {}) => {
  const { usernameFile, passwordFile } = test
  const url = `amqp://localhost:${server.port}`
  const base = { url, exchange: EXCHANGE, routingKey: '{type}.{shard}', partitions: 4, unroutable: 'Keep' as const }
  return test.open({ rabbitmq: { ...base, usernameFile, passwordFile, ...more } })
}

describe('a RabbitMQ queue', () => {
  it('gets persistent messages with id and type, by a routing key of type, shard and guild', async () => {
    await server.declare()
    const sink = open({ routingKey: '{partition}.{type}.{shard}' })
    add(sink.open(7, 0, 'session'), 7, 1, 0, 'MESSAGE_CREATE')
    await sink.flush(10_000)
    await server.with(async (channel) => {
      const message = await channel.get(QUEUE, { noAck: true })
      if (!message) throw new Error('the queue is empty')
      expect(message.fields.routingKey).toBe('3.MESSAGE_CREATE.7')
      expect(message.properties).toMatchObject({
        deliveryMode: 2,
        type: 'MESSAGE_CREATE',
        contentType: 'application/json',
      })
      expect(message.properties.messageId).toMatch(/^[\w-]{16}-1$/)
      expect(JSON.parse(message.content.toString())).toMatchObject({ shardId: 7, payload: { s: 1 } })
    })
  })

  it('that is full and refuses holds events up, and no later one passes an earlier one', async () => {
    await server.declare({ 'x-max-length': 100, 'x-overflow': 'reject-publish' })
    const traffic = new Traffic(open(), 5)
    await traffic.send(200)
    await until(() => test.sink.record().state === 'Failing')
    expect(test.sink.record().message).toMatch(/a queue refused an event/)
    const delivered: { topic: string; body: string }[] = []
    await server.with(async (channel) => {
      await channel.prefetch(20)
      await new Promise<void>((resolve) => {
        void channel.consume(QUEUE, (message) => {
          if (!message) return
          delivered.push({ topic: message.fields.routingKey, body: message.content.toString() })
          channel.ack(message)
          if (delivered.length === 1_000) resolve()
        })
      })
    })
    await test.sink.flush(10_000)
    expect(traffic.account(delivered)).toEqual({ sent: 1_000, lost: 0, duplicates: 0, overtaken: 0 })
  })

  it('is waited for: first the exchange, then a binding', async () => {
    const sink = open()
    const traffic = new Traffic(sink, 2)
    await traffic.send(5)
    await until(() => sink.record().state === 'Failing')
    expect(sink.record().message).toBe('RabbitMQ has no exchange discord: declare it, durable and of type topic')
    await server.with((channel) => channel.assertExchange(EXCHANGE, 'topic', { durable: true }))
    await until(() => sink.record().message?.includes('no queue is bound') === true)
    expect(sink.record().pending).toBe(10)
    await server.declare()
    expect(await sink.flush(10_000)).toBe(true)
    expect(traffic.account(await server.read())).toEqual({ sent: 10, lost: 0, duplicates: 0, overtaken: 0 })
  })

  it('need not be there for what may be dropped', async () => {
    await server.with((channel) => channel.assertExchange(EXCHANGE, 'topic', { durable: true }))
    const traffic = new Traffic(open({ unroutable: 'Drop' }), 2)
    await traffic.send(5)
    expect(await test.sink.flush(10_000)).toBe(true)
    expect(traffic.confirmed).toBe(true)
  })
})
