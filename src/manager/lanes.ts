import { createHash } from 'node:crypto'
import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { IdentifyLane } from './identify-lane.ts'
import type { SessionInfoAnswer, SessionInfoSource } from './session-info.ts'

/**
 * What tells one bot from another: the application id that a token begins with, so that a rotated token is still the
 * same bot. A token that does not look like one is its own bot.
 */
export function botOf(token: string): string {
  const id = Buffer.from(token.split('.')[0] ?? '', 'base64').toString('latin1')
  return /^\d{15,20}$/.test(id) ? id : createHash('sha256').update(token).digest('hex').slice(0, 16)
}

/** One bot's lane, and whom it can ask: each of its ShardClusters may name another REST proxy. */
interface Entry {
  readonly lane: IdentifyLane
  readonly sources: Map<string, SessionInfoSource>
}

/** The lanes of a process, one a bot: ShardClusters of one bot share its buckets and its budget. */
export class Lanes {
  readonly #entries = new Map<string, Entry>()
  readonly #options: { clock: Clock; random: () => number; logger: Logger; leadingSince: number }

  constructor(options: { clock: Clock; random: () => number; logger: Logger; leadingSince: number }) {
    this.#options = options
  }

  /** The lane of `bot`, which may from now on ask `source` too; calling it again replaces the cluster's source. */
  join(bot: string, cluster: string, source: SessionInfoSource): IdentifyLane {
    let entry = this.#entries.get(bot)
    if (!entry) {
      const sources = new Map<string, SessionInfoSource>()
      entry = { sources, lane: new IdentifyLane({ ...this.#options, sessionInfo: anyOf(sources) }) }
      this.#entries.set(bot, entry)
    }
    entry.sources.set(cluster, source)
    return entry.lane
  }

  /** The cluster is gone; with the last one its lane goes. */
  leave(bot: string, cluster: string): void {
    const entry = this.#entries.get(bot)
    entry?.sources.delete(cluster)
    if (entry?.sources.size !== 0) return
    entry.lane.stop()
    this.#entries.delete(bot)
  }

  stop(): void {
    for (const { lane } of this.#entries.values()) lane.stop()
    this.#entries.clear()
  }
}

/** Asks one after the other until one knows; the last problem is the answer when none does. */
function anyOf(sources: ReadonlyMap<string, SessionInfoSource>): SessionInfoSource {
  return {
    async ask() {
      let answer: SessionInfoAnswer = {
        ok: false,
        problem: { reason: 'RestProxyUnavailable', message: 'No REST proxy is configured any more.' },
      }
      for (const source of [...sources.values()]) {
        answer = await source.ask()
        if (answer.ok) return answer
      }
      return answer
    },
  }
}
