import { Redis } from 'ioredis'
import type { RedisSettings } from '../../src/protocol/sink-settings.ts'
import type { BrokerLink } from './broker-publisher.ts'
import type { BrokerCredentials } from './broker-secrets.ts'
import { messageOf, type Naming } from './message.ts'
import { Refused } from './publisher.ts'
import type { Slab } from './slab.ts'

const CONNECT_TIMEOUT_MS = 5_000
const KEEP_ALIVE_MS = 10_000

/** Connects to Redis and authenticates. @throws Refused when the server does not want the credentials. */
export async function connectRedis(
  settings: RedisSettings,
  { username, password, tls }: BrokerCredentials,
  naming: Naming,
): Promise<BrokerLink> {
  const { hostname, port, pathname } = new URL(settings.url)
  const redis = new Redis({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(tls && { tls }),
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    // Another connection is made with credentials that are read anew; nothing is queued outside the slabs.
    retryStrategy: () => null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
    maxRetriesPerRequest: 0,
  })
  // Whoever waits for an answer gets the error; an emitter without a listener would end the process.
  let last: Error | undefined
  redis.on('error', (error: Error) => {
    last = error
  })
  // A server that hangs accepts connections and says nothing.
  const late = setTimeout(() => redis.disconnect(), CONNECT_TIMEOUT_MS)
  try {
    await redis.connect()
    if (password !== undefined) await (username === undefined ? redis.auth(password) : redis.auth(username, password))
    const database = Number(pathname.slice(1) || 0)
    if (database > 0) await redis.select(database)
    return new RedisLink(redis, settings, naming)
  } catch (error) {
    redis.disconnect()
    throw refused((error as Error).message.startsWith('Connection is closed') ? (last ?? error) : error)
  } finally {
    clearTimeout(late)
  }
}

/** Events as entries of streams. A slab is one transaction, so that a refusal in its midst cannot change the order. */
class RedisLink implements BrokerLink {
  readonly #redis: Redis
  readonly #settings: RedisSettings
  readonly #naming: Naming

  constructor(redis: Redis, settings: RedisSettings, naming: Naming) {
    this.#redis = redis
    this.#settings = settings
    this.#naming = naming
  }

  get usable(): boolean {
    return this.#redis.status === 'ready'
  }

  async publish(slab: Slab): Promise<void> {
    const trim = this.#trim()
    const transaction = this.#redis.multi()
    for (let i = 0; i < slab.events; i++) {
      const { topic, type, id = '' } = messageOf(slab, i, this.#naming)
      transaction.call('XADD', topic, ...trim, '*', 'id', id, 'type', type, 'event', slab.event(i))
    }
    let replies: [error: Error | null, result: unknown][] | null
    try {
      replies = await transaction.exec()
    } catch (error) {
      throw this.#failed(error)
    }
    const error = replies === null ? new Error('the transaction was discarded') : replies.find(([error]) => error)?.[0]
    if (error) throw this.#failed(error)
    for (let i = 0; i < slab.events; i++) slab.index?.confirm(i)
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
  }

  #trim(): string[] {
    const { maxLength, maxAgeSeconds } = this.#settings
    if (maxLength !== undefined) return ['MAXLEN', '~', String(maxLength)]
    // The ids of entries begin with the time on the server's clock; ours is close enough for an age.
    if (maxAgeSeconds !== undefined) return ['MINID', '~', String(Date.now() - maxAgeSeconds * 1_000)]
    return []
  }

  #failed(error: unknown): unknown {
    // A replica, after a fail-over: the next connection may reach the primary.
    if (/^READONLY|^MASTERDOWN/.test(messageTextOf(error))) this.#redis.disconnect()
    return refused(error)
  }
}

/** EXEC says only that something was wrong; what it was is in the errors of the commands before. */
function messageTextOf(error: unknown): string {
  const { message, previousErrors } = error as { message?: string; previousErrors?: readonly Error[] }
  return previousErrors?.find((each) => each)?.message ?? message ?? ''
}

function refused(error: unknown): unknown {
  const message = messageTextOf(error)
  if (/^(WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(message))
    return new Refused(
      { kind: 'unauthorized', message: 'Redis refused the credentials: put the right ones into their Secret' },
      { cause: error },
    )
  if (message.startsWith('NOPERM'))
    return new Refused(
      { kind: 'unauthorized', message: 'Redis does not let this user use XADD, MULTI or these keys: change its ACL' },
      { cause: error },
    )
  if ((error as Error).name === 'ReplyError')
    return new Refused({ kind: 'failed', message: `Redis answered: ${message.slice(0, 200)}` }, { cause: error })
  return error
}
