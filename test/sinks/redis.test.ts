import type { Broker } from '../support/servers/broker.ts'
import { RedisServer } from '../support/servers/redis.ts'
import { type Credentials, losesNothing } from './loss.ts'

const settings = (port: number, { usernameFile, passwordFile, tls }: Credentials) => ({
  redis: { url: `redis://localhost:${port}/0`, stream: 'discord', partitions: 4, usernameFile, passwordFile, tls },
})

losesNothing('redis', {
  start: (options) => RedisServer.start(options),
  empty: async (broker: Broker) => {
    await (broker as RedisServer).with((redis) => redis.flushall())
  },
  settings,
})
