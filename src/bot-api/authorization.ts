import { randomBytes } from 'node:crypto'
import { authorizationMatches } from '../support/authorization.ts'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { ApiError } from './errors.ts'
import type { ApiKey, ApiTarget } from './source.ts'

/** A key is read again after this long, in milliseconds: a rotated Secret counts after that at the latest. */
export const KEY_MS = 10_000

/** Keys remembered; each is one of a ShardCluster that exists. */
const KEPT = 10_000

type Check = (given: string | undefined) => boolean

interface Known {
  readonly readAt: number
  /** undefined: the Secret has no such key. Only a digest is kept. */
  readonly check: Check | undefined
}

const SCHEME = /^Bearer +(.*\S) *$/i

/** One answer for whoever does not know the key, whether the ShardCluster exists or not. */
const UNAUTHORIZED =
  'The key is missing or wrong, or there is no such ShardCluster: send "authorization: Bearer <key>" with the value that spec.api.authorizationSecretRef of the ShardCluster points to.'

/** Whether a request may speak for a ShardCluster. Keys are never kept or logged, only their digests are. */
export class Authorization {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new Map<string, Known>()
  readonly #reading = new Map<string, Promise<Check | undefined>>()
  /** What a ShardCluster that does not exist is checked against. */
  readonly #nobody = authorizationMatches(randomBytes(32).toString('hex'))

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** @throws ApiError when the header does not carry the key of `target`; undefined: there is no such ShardCluster. */
  async check(header: string | undefined, target: ApiTarget | undefined): Promise<void> {
    const given = SCHEME.exec(header ?? '')?.[1]
    if (target && !target.key)
      throw new ApiError(
        'API_DISABLED',
        `The ShardCluster ${target.namespace}/${target.name} names no key for this API: set spec.api.authorizationSecretRef to a key of a Secret in its namespace.`,
      )
    const check = (target?.key && (await this.#checkOf(target.key, target))) ?? this.#nobody
    if (!check(given)) throw new ApiError('UNAUTHORIZED', UNAUTHORIZED)
  }

  async #checkOf(key: ApiKey, target: ApiTarget): Promise<Check | undefined> {
    const known = this.#known.get(key.id)
    if (known && this.#clock.now() - known.readAt < KEY_MS) return known.check
    const reading = this.#reading.get(key.id) ?? this.#read(key, target).finally(() => this.#reading.delete(key.id))
    this.#reading.set(key.id, reading)
    return reading
  }

  /** While the Secret cannot be read, what was read last counts: a bot must not fall silent because of that. */
  async #read(key: ApiKey, { namespace, name }: ApiTarget): Promise<Check | undefined> {
    const before = this.#known.get(key.id)
    try {
      const value = await key.read()
      if (!value)
        this.#logger.warn({ cluster: `${namespace}/${name}` }, 'spec.api.authorizationSecretRef leads to no key')
      const check = value ? authorizationMatches(value) : undefined
      this.#keep(key.id, check)
      return check
    } catch (error) {
      this.#logger.warn({ err: error, cluster: `${namespace}/${name}` }, 'cannot read the key of the bot API')
      if (!before) throw new ApiError('KEY_UNREADABLE', 'The Secret with the key cannot be read now: try again.')
      this.#keep(key.id, before.check)
      return before.check
    }
  }

  #keep(id: string, check: Check | undefined): void {
    const [oldest] = this.#known.keys()
    if (this.#known.size >= KEPT && oldest !== undefined && !this.#known.has(id)) this.#known.delete(oldest)
    this.#known.set(id, { readAt: this.#clock.now(), check })
  }
}
