import { createHash } from 'node:crypto'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { IdentifyLane } from './identify-lane.ts'
import type { LaneMember } from './lane-member.ts'
import type { SessionInfoSource } from './session-info.ts'

/**
 * What tells one bot from another inside a namespace: the application id that a token begins with, so that a rotated
 * token is still the same bot. Anybody can write an id into a token: it proves nothing to another namespace. A token
 * that does not look like one is its own bot.
 */
export function botOf(token: string): string {
  const id = Buffer.from(token.split('.')[0] ?? '', 'base64').toString('latin1')
  return /^\d{15,20}$/.test(id) ? id : digestOf(token).slice(0, 16)
}

/** Who wants a place in a lane. */
export interface Applicant {
  /** `namespace/name`, or in local mode the name. */
  readonly cluster: string
  /** Who writes there is trusted with everything in it. */
  readonly namespace: string
  readonly token: string
  readonly sessionInfo: SessionInfoSource
}

/** By what a ShardCluster belongs into a lane. */
interface Right {
  /** The bot as its namespace knows it. */
  readonly bot: string
  /** A digest: whoever has the same token is the same bot, wherever it is. */
  readonly token: string
}

/** A place that was taken. */
interface Place extends Right {
  readonly lane: IdentifyLane
  readonly member: LaneMember
  /** Managers that follow one another hold it together for a moment. */
  holders: number
}

/**
 * The lanes of a process, one a bot. ShardClusters share one if they hold the same token, which proves that they are the
 * same bot, or if they are in one namespace and their tokens begin with the same application id: one of them may have a
 * newer token. Nothing else that somebody states makes two of them one.
 */
export class Lanes {
  readonly #places = new Map<string, Place>()
  readonly #options: { clock: Clock; random: () => number; logger: Logger; leadingSince: number }

  constructor(options: { clock: Clock; random: () => number; logger: Logger; leadingSince: number }) {
    this.#options = options
  }

  /**
   * Gives the ShardCluster a place in the lane of its bot: the one it has, if that is still the right one. Each call is
   * made good by one of `leave`.
   */
  join({ cluster, namespace, token, sessionInfo }: Applicant): LaneMember {
    const right = rightOf(namespace, token)
    const before = this.#places.get(cluster)
    const lane = this.#laneOf(right, cluster)
    if (before && before.lane !== lane) {
      // The same bot, whose new token others have already: their lane must know when its last IDENTIFYs left.
      if (before.bot === right.bot) lane.inherit(before.lane)
      this.#vacate(cluster, before)
    }
    const holders = before?.lane === lane ? before.holders + 1 : 1
    const member = lane.join(cluster, sessionInfo)
    this.#places.set(cluster, { ...right, lane, member, holders })
    return member
  }

  /**
   * The ShardCluster has another token, or asks through another proxy. @returns whether it keeps its place with that; if
   * not, it has to join anew.
   */
  update(member: LaneMember, { cluster, namespace, token, sessionInfo }: Applicant): boolean {
    const place = this.#places.get(cluster)
    const right = rightOf(namespace, token)
    if (place?.member !== member || this.#laneOf(right, cluster) !== place.lane) return false
    this.#places.set(cluster, { ...place, ...right })
    member.ask(sessionInfo)
    return true
  }

  /** The holder of this place is gone; with the last one its lane goes. */
  leave(member: LaneMember): void {
    const place = this.#places.get(member.cluster)
    if (place?.member !== member || --place.holders > 0) return
    this.#places.delete(member.cluster)
    this.#vacate(member.cluster, place)
  }

  stop(): void {
    for (const { lane } of this.#places.values()) lane.stop()
    this.#places.clear()
  }

  /** The lane of whoever has the token; else that of the bot in this namespace; else a new one. */
  #laneOf({ bot, token }: Right, cluster: string): IdentifyLane {
    const places = [...this.#places]
    const others = places.filter(([name]) => name !== cluster).map(([, place]) => place)
    const own = this.#places.get(cluster)
    const found =
      others.find((place) => place.token === token) ??
      others.find((place) => place.bot === bot) ??
      (own?.token === token || own?.bot === bot ? own : undefined)
    return found?.lane ?? new IdentifyLane(this.#options)
  }

  #vacate(cluster: string, { lane, member }: Place): void {
    lane.leave(member)
    const alone = [...this.#places].every(([name, place]) => name === cluster || place.lane !== lane)
    if (alone) lane.stop()
  }
}

const rightOf = (namespace: string, token: string): Right => ({
  bot: `${namespace}/${botOf(token)}`,
  token: digestOf(token),
})

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')
