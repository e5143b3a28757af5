import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { freePorts } from '../apiserver/ports.ts'
import { Broker, type Delivered, USER } from './broker.ts'
import type { ServerPrograms } from './programs.ts'

/** Entries that are read at a time. */
const PAGE = 5_000

/** redis-server that has everything on disk before it answers: by default a crash takes the last second or two. */
export class RedisServer extends Broker {
  readonly #more: readonly string[]

  constructor(port: number, tls: boolean, more: readonly string[] = []) {
    super(port, tls)
    this.#more = more
  }

  /** `more`: lines of its configuration. */
  static async start({ tls = false, more = [] as string[] } = {}): Promise<RedisServer> {
    const [port = 0] = await freePorts(1)
    const server = new RedisServer(port, tls, more)
    await server.start()
    return server
  }

  async read(key = 'discord'): Promise<Delivered[]> {
    return this.with(async (redis) => {
      const found: Delivered[] = []
      for (let from = '-'; ; ) {
        const entries = await redis.xrange(key, from, '+', 'COUNT', PAGE)
        for (const [, fields] of entries) found.push({ topic: key, body: fields[5] ?? '' })
        const last = entries.at(-1)?.[0]
        if (last === undefined || entries.length < PAGE) return found
        from = `(${last}`
      }
    })
  }

  /** Runs `work` with a connection of a consumer. */
  async with<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({
      host: 'localhost',
      port: this.port,
      ...USER,
      ...(this.tls && { tls: { ca: readFileSync(this.caFile) } }),
      lazyConnect: true,
      retryStrategy: () => null,
    })
    redis.on('error', () => undefined)
    try {
      await redis.connect()
      return await work(redis)
    } finally {
      redis.disconnect()
    }
  }

  protected async command({ redis }: ServerPrograms) {
    const { directory, port, tls } = this
    const listen = tls
      ? `port 0\ntls-port ${port}\ntls-cert-file ${directory}/tls.crt\ntls-key-file ${directory}/tls.key\ntls-auth-clients no`
      : `port ${port}`
    // The default user keeps its rights: without them Redis 7.0 drops every transaction when it loads its file.
    const config = this.file(
      'redis.conf',
      `bind 127.0.0.1
${listen}
dir ${directory}
save ""
appendonly yes
appendfsync always
user default on ">nobody knows this one" ~* &* +@all
user ${USER.username} on ">${USER.password}" ~* &* +@all
${this.#more.join('\n')}
`,
    )
    return { command: redis, args: [config] }
  }

  protected override ready(): Promise<boolean> {
    return this.with(async (redis) => (await redis.ping()) === 'PONG')
  }
}
