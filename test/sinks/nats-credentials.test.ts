import { afterEach, beforeEach, expect, it } from 'vitest'
import { NatsServer } from '../support/servers/nats.ts'
import { natsAccounts } from '../support/servers/nats-accounts.ts'
import { until } from '../support/sharder.ts'
import { SinkUnderTest } from './sink-under-test.ts'
import { Traffic } from './traffic.ts'

let server: NatsServer
let test: SinkUnderTest
beforeEach(() => {
  test = new SinkUnderTest()
})
afterEach(async () => {
  await test.close()
  await server.close()
})

it('takes a NATS credentials file, and another when the first is refused', async () => {
  const accounts = natsAccounts()
  server = await NatsServer.start({ access: accounts })
  await server.createStream()
  const credentialsFile = server.file('nats.creds', natsAccounts().credentials)
  const servers = [`nats://localhost:${server.port}`]
  const sink = test.open({ nats: { servers, subject: 'discord.{type}.{shard}', partitions: 4, credentialsFile } })
  const traffic = new Traffic(sink, 4)
  await traffic.send(20)
  await until(() => sink.record().state === 'Unauthorized')
  expect(sink.record().message).toMatch(/refused the credentials/)
  server.file('nats.creds', accounts.credentials)
  expect(await sink.flush(10_000)).toBe(true)
  expect(traffic.account(await server.read())).toEqual({ sent: 80, lost: 0, duplicates: 0, overtaken: 0 })
})

it('takes a password without a user name as a token', async () => {
  const token = 'a token for tests'
  server = await NatsServer.start({
    access: { configuration: `authorization { token: "${token}" }`, client: { token } },
  })
  await server.createStream()
  test.setPassword(token)
  const { passwordFile } = test
  const servers = [`nats://localhost:${server.port}`]
  const sink = test.open({ nats: { servers, subject: 'discord.{type}', partitions: 4, passwordFile } })
  const traffic = new Traffic(sink, 4)
  await traffic.send(20)
  expect(await sink.flush(10_000)).toBe(true)
  expect(traffic.account(await server.read())).toEqual({ sent: 80, lost: 0, duplicates: 0, overtaken: 0 })
})

it('says that a credentials file is no credentials file', async () => {
  server = await NatsServer.start()
  const credentialsFile = server.file('nats.creds', 'a secret that is none')
  const servers = [`nats://localhost:${server.port}`]
  const sink = test.open({ nats: { servers, subject: 'discord.{type}', partitions: 4, credentialsFile } })
  await new Traffic(sink, 1).send(1)
  await until(() => sink.record().state !== 'Flowing')
  expect(sink.record()).toMatchObject({ state: 'Unauthorized' })
  expect(sink.record().message).not.toContain('a secret')
})
