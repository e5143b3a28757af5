import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RedisSettings } from '../../src/protocol/sink-settings.ts'
import { RedisServer } from '../support/servers/redis.ts'
import { until } from '../support/sharder.ts'
import { SinkUnderTest } from './sink-under-test.ts'
import { add, Traffic } from './traffic.ts'

let server: RedisServer
let test: SinkUnderTest
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server?.close())
beforeEach(async () => {
  test = new SinkUnderTest()
  await server.with((redis) => redis.flushall())
})
afterEach(() => test.close())

const open = (more: Partial<RedisSettings> = {}) => {
  const { usernameFile, passwordFile } = test
  const url = `redis://localhost:${server.port}/0`
  return test.open({ redis: { url, stream: 'discord', partitions: 4, usernameFile, passwordFile, ...more } })
}

describe('a Redis stream', () => {
  it('has an entry with id, type and event, under a key by type, shard and guild', async () => {
    const sink = open({ stream: 'events:{partition}:{type}' })
    add(sink.open(7, 0, 'session'), 7, 1, 0, 'MESSAGE_CREATE')
    await sink.flush(10_000)
    const entries = await server.with((redis) => redis.xrange('events:3:MESSAGE_CREATE', '-', '+'))
    const [, fields = []] = entries[0] ?? []
    expect(fields).toMatchObject(['id', expect.stringMatching(/^[\w-]{16}-1$/), 'type', 'MESSAGE_CREATE', 'event', {}])
    expect(JSON.parse(fields[5] ?? '')).toMatchObject({ shardId: 7, payload: { t: 'MESSAGE_CREATE', s: 1 } })
  })

  it('is trimmed by length', async () => {
    const traffic = new Traffic(open({ maxLength: 100 }))
    await traffic.send(100)
    await test.sink.flush(10_000)
    const length = await server.with((redis) => redis.xlen('discord'))
    // "~": Redis trims whole nodes, of 100 entries.
    expect(length).toBeLessThan(400)
    expect(length).toBeGreaterThanOrEqual(100)
  })

  it('is trimmed by age', async () => {
    const old = Date.now() - 3_600_000
    await server.with(async (redis) => {
      for (let i = 0; i < 300; i++) await redis.xadd('discord', `${old}-${i + 1}`, 'event', '{}')
    })
    const traffic = new Traffic(open({ maxAgeSeconds: 60 }), 1)
    await traffic.send(200)
    await test.sink.flush(10_000)
    expect(await server.with((redis) => redis.xlen('discord'))).toBeLessThan(300)
  })

  it('that the server has no memory for holds events up, in their order', async () => {
    const traffic = new Traffic(open())
    await server.with((redis) => redis.config('SET', 'maxmemory', '3mb'))
    const sent = traffic.send(400)
    await until(() => test.sink.record().state === 'Failing')
    expect(test.sink.record().message).toMatch(/OOM/)
    await new Promise((resolve) => setTimeout(resolve, 500))
    await server.with((redis) => redis.config('SET', 'maxmemory', '0'))
    await sent
    await test.sink.flush(10_000)
    expect(traffic.account(await server.read())).toMatchObject({ sent: 8_000, lost: 0, overtaken: 0 })
  })

  it('says when the key is no stream, or the user may not write', async () => {
    await server.with((redis) => redis.set('discord', 'a string'))
    const traffic = new Traffic(open(), 1)
    await traffic.send(1)
    await until(() => test.sink.record().state === 'Failing')
    expect(test.sink.record().message).toMatch(/WRONGTYPE/)
    await server.with(async (redis) => {
      await redis.acl('SETUSER', 'sharder', '-xadd')
      await until(() => test.sink.record().state === 'Unauthorized')
      expect(test.sink.record().message).toMatch(/change its ACL/)
      await redis.acl('SETUSER', 'sharder', '+xadd')
      await redis.del('discord')
    })
    expect(await test.sink.flush(10_000)).toBe(true)
    expect(traffic.account(await server.read())).toMatchObject({ lost: 0 })
  })
})
