import { FROM_BOTS, FROM_STRANGERS } from '../limits.ts'
import type { Clock } from '../support/clock.ts'
import { TokenBuckets } from '../support/token-buckets.ts'
import { ApiError } from './errors.ts'

/** Gives back what a request has taken; again: nothing. */
export type Release = () => void

/** A request about all shards, and its answer: one of them is read, or something is sent on them. */
export type Large = keyof typeof FROM_BOTS.largeAtOnce

/** What is under way ends soon: the next may be asked for after so long, in milliseconds. */
const AGAIN_MS = 1_000

/**
 * What each ShardCluster may ask of this API, so that one of them, or many of one owner, cost the others nothing.
 *
 * - A token bucket each.
 * - So many requests under way each, and in all; a few each even when all is taken.
 * - A few requests about all shards each, until their answers were read.
 */
export class Shares {
  readonly #requests: TokenBuckets
  /** Requests under way by ShardCluster. */
  readonly #underWay = new Map<string, number>()
  #inAll = 0
  /** Those about all shards, by kind and ShardCluster, and by namespace. */
  readonly #large = new Map<string, number>()
  #largeInAll = 0

  constructor(clock: Clock) {
    const { requestsPerSecond: perSecond, requestsAtOnce: burst } = FROM_BOTS
    this.#requests = new TokenBuckets({ clock, perSecond, burst, kept: FROM_STRANGERS.counted })
  }

  /** Takes what a request for `cluster` (`namespace/name`) needs. @throws ApiError RATE_LIMITED; then nothing is taken. */
  take(cluster: string, large: Large | undefined): Release {
    this.#checkLarge(cluster, large)
    const own = this.#underWay.get(cluster) ?? 0
    const room = own < FROM_BOTS.underWay && this.#inAll < FROM_BOTS.underWayInAll
    if (!room && own >= FROM_BOTS.underWayAlways)
      throw tooMany(`${own} requests of this ShardCluster are under way`, AGAIN_MS)
    this.#pay(cluster, large ? FROM_BOTS.largeCosts : 1)
    return this.#taken(cluster, large)
  }

  /** For a request about so many pages of shards that took its first already; as much as a full bucket has at most. */
  charge(cluster: string, pages: number): void {
    const { largeCosts, requestsAtOnce } = FROM_BOTS
    const cost = Math.min(pages * largeCosts, requestsAtOnce) - largeCosts
    if (cost > 0) this.#pay(cluster, cost)
  }

  #pay(cluster: string, cost: number): void {
    const waitMs = this.#requests.take(cluster, cost)
    if (waitMs > 0)
      throw tooMany(`More than ${FROM_BOTS.requestsPerSecond} requests a second came for this ShardCluster`, waitMs)
  }

  #checkLarge(cluster: string, large: Large | undefined): void {
    if (large === undefined) return
    const own = this.#large.get(`${large} ${cluster}`) ?? 0
    if (own >= FROM_BOTS.largeAtOnce[large])
      throw tooMany('Another such request about all shards is under way', AGAIN_MS)
    const neighbours = this.#large.get(namespaceOf(cluster)) ?? 0
    if (this.#largeInAll >= FROM_BOTS.largeInAll || neighbours >= FROM_BOTS.largeOfNamespace)
      throw tooMany('Too many requests about all shards are under way', AGAIN_MS)
  }

  #taken(cluster: string, large: Large | undefined): Release {
    count(this.#underWay, cluster, 1)
    this.#inAll++
    if (large) {
      count(this.#large, `${large} ${cluster}`, 1)
      count(this.#large, namespaceOf(cluster), 1)
      this.#largeInAll++
    }
    let released = false
    return () => {
      if (released) return
      released = true
      count(this.#underWay, cluster, -1)
      this.#inAll--
      if (!large) return
      count(this.#large, `${large} ${cluster}`, -1)
      count(this.#large, namespaceOf(cluster), -1)
      this.#largeInAll--
    }
  }
}

/** Whoever has one ShardCluster can mostly make more of them in its namespace. */
const namespaceOf = (cluster: string): string => cluster.slice(0, cluster.indexOf('/'))

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + by
  if (now > 0) counts.set(key, now)
  else counts.delete(key)
}

const tooMany = (why: string, retryAfterMs: number): ApiError =>
  new ApiError('RATE_LIMITED', `${why}: wait retry_after seconds.`, { retryAfterMs })
