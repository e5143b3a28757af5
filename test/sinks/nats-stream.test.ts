import { AckPolicy, DiscardPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NatsServer, STREAM } from '../support/servers/nats.ts'
import { until } from '../support/sharder.ts'
import { SinkUnderTest } from './sink-under-test.ts'
import { add, Traffic } from './traffic.ts'

let server: NatsServer
let test: SinkUnderTest
beforeAll(async () => {
  server = await NatsServer.start()
})
afterAll(() => server?.close())
beforeEach(() => {
  test = new SinkUnderTest()
})
afterEach(async () => {
  await test.close()
  await server.with(async (connection) => {
    await (await jetstreamManager(connection)).streams.delete(STREAM)
  })
})

const open = (subject = 'discord.{type}.{shard}', more: { stream?: string } = {}) => {
  const { usernameFile, passwordFile } = test
  const servers = [`nats://localhost:${server.port}`]
  return test.open({ nats: { servers, subject, partitions: 4, usernameFile, passwordFile, ...more } })
}

describe('a JetStream stream', () => {
  it('drops what is sent again after a crash: ids are of session and sequence', async () => {
    await server.createStream()
    const first = new Traffic(open(), 3)
    await first.send(50)
    await test.sink.flush(10_000)
    await test.sink.close()
    // Another worker resumes the sessions from what it knows was confirmed.
    const second = new Traffic(open(), 3, 20)
    await second.send(60)
    await test.sink.flush(10_000)
    expect(second.account(await server.read())).toEqual({ sent: 240, lost: 0, duplicates: 0, overtaken: 0 })
  })

  it('gets each event under the subject of its type, shard and guild', async () => {
    await server.createStream()
    const sink = open('discord.{partition}.{type}.{shard}')
    add(sink.open(7, 0, 'session'), 7, 1, 0, 'MESSAGE_CREATE')
    add(sink.open(6, 0, 'another'), 6, 1, 0, 'GUILD_ROLE_CREATE')
    await sink.flush(10_000)
    const delivered = await server.read()
    expect(delivered.map(({ topic }) => topic).sort()).toEqual([
      'discord.2.GUILD_ROLE_CREATE.6',
      'discord.3.MESSAGE_CREATE.7',
    ])
    const { body } = delivered.find(({ topic }) => topic.endsWith('.7')) ?? { body: '' }
    expect(JSON.parse(body)).toMatchObject({ workerId: 0, shardId: 7, payload: { t: 'MESSAGE_CREATE', s: 1, op: 0 } })
  })

  it('is waited for while it is not there, or another has the subject', async () => {
    const sink = open('discord.{type}.{shard}', { stream: STREAM })
    const traffic = new Traffic(sink, 3)
    await traffic.send(10)
    await until(() => sink.record().state === 'Failing')
    expect(sink.record().message).toMatch(/no JetStream stream takes the subject discord\.TYPING_START\.\d: create one/)
    await server.with(async (connection) => {
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name: 'OTHER', subjects: ['discord.>'] })
      await until(() => sink.record().message?.includes('expected stream') === true)
      await manager.streams.delete('OTHER')
    })
    await server.createStream()
    await sink.flush(10_000)
    expect(traffic.account(await server.read())).toMatchObject({ lost: 0, overtaken: 0 })
  })

  it('that is full holds events up, and no later one passes an earlier one', async () => {
    await server.createStream({ max_msgs: 200, discard: DiscardPolicy.New })
    const traffic = new Traffic(open(), 5)
    const delivered: { topic: string; body: string }[] = []
    const sent = traffic.send(400)
    await until(() => test.sink.record().state === 'Failing')
    expect(test.sink.record().message).toMatch(/maximum messages exceeded/)
    await server.with(async (connection) => {
      const manager = await jetstreamManager(connection)
      await manager.consumers.add(STREAM, { durable_name: 'bot', ack_policy: AckPolicy.Explicit })
      const consumer = await jetstream(connection).consumers.get(STREAM, 'bot')
      for await (const message of await consumer.consume()) {
        delivered.push({ topic: message.subject, body: message.string() })
        await manager.streams.deleteMessage(STREAM, message.seq)
        message.ack()
        if (delivered.length === 2_000) break
      }
    })
    await sent
    await test.sink.flush(10_000)
    expect(traffic.account(delivered)).toEqual({ sent: 2_000, lost: 0, duplicates: 0, overtaken: 0 })
  })

  it('that cannot take so large an event makes the sink say what to raise', async () => {
    await server.createStream()
    const sink = open()
    add(sink.open(0, 0, 'session'), 0, 1, 1_200_000)
    await until(() => sink.record().state === 'Failing')
    expect(sink.record().message).toMatch(/larger than max_payload of the server.*raise it/)
  })
})
