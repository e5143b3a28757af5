import { FROM_BOTS } from '../limits.ts'
import type { Clock } from '../support/clock.ts'

interface Summary {
  readonly at: number
  readonly text: Promise<Buffer>
}

/**
 * The summary of each ShardCluster as the text that is sent: counted once a second at most, and one text for all who
 * ask, however many of them read it slowly.
 */
export class Summaries {
  readonly #clock: Clock
  readonly #kept = new Map<string, Summary>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `describe` is called when there is none yet, or none that is young enough. */
  of(cluster: string, describe: () => Promise<unknown>): Promise<Buffer> {
    const now = this.#clock.now()
    const kept = this.#kept.get(cluster)
    if (kept && now - kept.at < FROM_BOTS.summaryMs) return kept.text
    this.#forget(now)
    const text = describe().then((summary) => Buffer.from(JSON.stringify(summary)))
    this.#kept.set(cluster, { at: now, text })
    // What failed is asked anew; whoever waits for it is told why.
    text.catch(() => {
      if (this.#kept.get(cluster)?.text === text) this.#kept.delete(cluster)
    })
    return text
  }

  #forget(now: number): void {
    for (const [cluster, { at }] of this.#kept) {
      if (now - at < FROM_BOTS.summaryMs) return
      this.#kept.delete(cluster)
    }
  }
}
