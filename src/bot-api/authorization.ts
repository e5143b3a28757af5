import { createHash, timingSafeEqual } from 'node:crypto'
import { FROM_BOTS, FROM_STRANGERS } from '../limits.ts'
import { type Clock, sleep } from '../support/clock.ts'
import { TokenBuckets } from '../support/token-buckets.ts'
import { ApiError } from './errors.ts'
import { refusalOf } from './refusals.ts'
import type { Ask, ClusterName, KeyAnswer, Refused } from './wire.ts'

/** A key is read again after this long, in milliseconds: a rotated Secret counts after that at the latest. */
export const KEY_MS = 10_000

/** A key that is used is read again so long before that, and who knows it never waits for the Secret. */
const AHEAD_MS = 5_000

/** A Secret that cannot be read is tried again after this long, in milliseconds: not as often as strangers ask. */
const UNREADABLE_MS = 1_000

interface Known {
  /** Of the reference to the Secret. */
  readonly id: string
  readonly until: number
  /** undefined: the Secret has no such key, or could not be read. */
  readonly digest: Uint8Array | undefined
  readonly problem?: ApiError
}

/** One answer for whoever does not know the key, whether the ShardCluster exists or not. */
const UNAUTHORIZED =
  'The key is missing or wrong, or there is no such ShardCluster: send "authorization: Bearer <key>" with the value that spec.api.authorizationSecretRef of the ShardCluster points to.'

const SCHEME = 'bearer '
const SPACE = 0x20

/**
 * The key in an `authorization` header; undefined: there is none, or it is too long for one. Looks at each character
 * once: whoever sends this has shown no key yet.
 */
export function bearerKey(header: string | undefined): string | undefined {
  if (header === undefined || header.length > FROM_BOTS.authorizationBytes) return undefined
  if (header.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return undefined
  let first = SCHEME.length
  let end = header.length
  while (first < end && header.charCodeAt(first) === SPACE) first++
  while (end > first && header.charCodeAt(end - 1) === SPACE) end--
  return first === end ? undefined : header.slice(first, end)
}

/**
 * Whether a request may speak for a ShardCluster. Keys are never kept or logged, only their digests are.
 *
 * - Who has no key makes no work beyond this thread.
 * - Every refusal takes the same time, or a multiple of it, counted from the request: whether there was a Secret to be
 *   read for it does not show.
 * - Requests without a valid key are counted by remote address; those with one are not, so a bot is not refused because
 *   of whoever shares its address, once its key is known.
 */
export class Authorization {
  readonly #clock: Clock
  readonly #ask: Ask
  readonly #strangers: TokenBuckets
  readonly #known = new Map<string, Known>()
  readonly #reading = new Map<string, Promise<Known | undefined>>()
  #underWay = 0

  constructor({ clock, ask }: { readonly clock: Clock; readonly ask: Ask }) {
    this.#clock = clock
    this.#ask = ask
    const { requestsPerSecond: perSecond, requestsAtOnce: burst, counted: kept } = FROM_STRANGERS
    this.#strangers = new TokenBuckets({ clock, perSecond, burst, kept })
  }

  /** @throws ApiError when the header does not carry the key of the ShardCluster, or there is none. */
  async check(header: string | undefined, cluster: ClusterName | undefined, address: string): Promise<void> {
    const key = bearerKey(header)
    const given = key === undefined ? undefined : sha256(key)
    const known = cluster && this.#fresh(cluster)
    if (cluster && given && known && matches(given, known)) {
      if (known.until - this.#clock.now() <= AHEAD_MS) void this.#read(cluster).catch(() => undefined)
      return
    }
    this.stranger(address)
    if (this.#underWay >= FROM_STRANGERS.underWay) throw tooMany(FROM_STRANGERS.refusalMs)
    this.#underWay++
    const since = this.#clock.now()
    try {
      const now = cluster && given ? (known ?? (await this.#read(cluster))) : undefined
      if (now?.problem) throw now.problem
      if (!(given && now && matches(given, now))) throw new ApiError('UNAUTHORIZED', UNAUTHORIZED)
      this.#strangers.giveBack(address)
    } catch (error) {
      await this.#untilItMayShow(since)
      throw error
    } finally {
      this.#underWay--
    }
  }

  /** Counts a request without a key. @throws ApiError when there are too many from this address. */
  stranger(address: string): void {
    const waitMs = this.#strangers.take(address)
    if (waitMs > 0) throw tooMany(waitMs)
  }

  async #untilItMayShow(since: number): Promise<void> {
    const { refusalMs } = FROM_STRANGERS
    await sleep(this.#clock, refusalMs - ((this.#clock.now() - since) % refusalMs))
  }

  #fresh(cluster: ClusterName): Known | undefined {
    const known = this.#known.get(idOf(cluster))
    return known && this.#clock.now() < known.until ? known : undefined
  }

  /** Asks once, however many wait for it. undefined: there is no such ShardCluster. @throws ApiError */
  #read(cluster: ClusterName): Promise<Known | undefined> {
    const id = idOf(cluster)
    const reading =
      this.#reading.get(id) ??
      this.#ask('KEY', cluster, {})
        .then((answer) => this.#keep(cluster, id, answer))
        .finally(() => this.#reading.delete(id))
    this.#reading.set(id, reading)
    return reading
  }

  #keep({ namespace, name }: ClusterName, at: string, answer: KeyAnswer | Refused): Known | undefined {
    if ('refused' in answer) throw refusalOf(answer)
    switch (answer.is) {
      case 'none':
        this.#known.delete(at)
        return undefined
      case 'disabled':
        this.#known.delete(at)
        throw new ApiError(
          'API_DISABLED',
          `The ShardCluster ${namespace}/${name} names no key for this API: set spec.api.authorizationSecretRef to a key of a Secret in its namespace.`,
        )
      case 'unreadable':
        return this.#unreadable(at, answer.id)
      case 'known':
        return this.#remember(at, { id: answer.id, digest: answer.digest, until: this.#clock.now() + KEY_MS })
    }
  }

  /** While the Secret cannot be read, what was read last counts: a bot must not fall silent because of that. */
  #unreadable(at: string, id: string): Known {
    const before = this.#known.get(at)
    if (before?.id === id && !before.problem)
      return this.#remember(at, { ...before, until: this.#clock.now() + KEY_MS })
    const problem = new ApiError('KEY_UNREADABLE', 'The Secret with the key cannot be read now: try again.')
    return this.#remember(at, { id, digest: undefined, until: this.#clock.now() + UNREADABLE_MS, problem })
  }

  #remember(at: string, known: Known): Known {
    const [oldest] = this.#known.keys()
    if (!this.#known.delete(at) && this.#known.size >= FROM_STRANGERS.counted && oldest !== undefined)
      this.#known.delete(oldest)
    this.#known.set(at, known)
    return known
  }
}

const idOf = ({ namespace, name }: ClusterName): string => `${namespace}/${name}`
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
const matches = (given: Buffer, { digest }: Known): boolean => digest !== undefined && timingSafeEqual(given, digest)

const tooMany = (retryAfterMs: number): ApiError =>
  new ApiError('RATE_LIMITED', 'Too many requests without a valid key: wait retry_after seconds.', { retryAfterMs })
