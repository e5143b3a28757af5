import type { Condition } from '../api/conditions.ts'
import type { LocalCluster } from '../local/local-cluster.ts'
import type { RunDisplay } from '../local/run.ts'
import type { SampleBot } from '../local/sample-bot.ts'
import { createProgress, type Progress } from './progress.ts'

/** Shows a local run: shards coming up, then events received; conditions when they change. */
export class LocalDisplay implements RunDisplay {
  readonly #progress: Progress
  readonly #bot: SampleBot | undefined
  readonly #conditions = new Map<string, string>()
  readonly #hints: readonly string[]
  #hinted = false
  #events = 0

  constructor(stream: NodeJS.WriteStream, bot: SampleBot | undefined, hints: readonly string[]) {
    this.#progress = createProgress('shards', stream)
    this.#bot = bot
    this.#hints = hints
  }

  say(line: string): void {
    this.#progress.say(line)
  }

  show(clusters: readonly LocalCluster[]): void {
    let ready = 0
    let total = 0
    let doing = ''
    for (const cluster of clusters) {
      const fleet = cluster.fleet()
      ready += fleet.ready
      total += fleet.totalShards ?? 0
      for (const condition of cluster.conditions()) {
        if (condition.type === 'Progressing' && condition.status === 'True') doing = condition.message
        this.#tell(cluster.name, condition)
      }
    }
    if (total > 0 && ready === total) this.#allReady(clusters, total)
    else this.#progress.update(ready, total, doing)
  }

  /** Says what is wrong, once, and again when it becomes something else. */
  #tell(cluster: string, { type, status, reason, message }: Condition): void {
    const bad =
      type === 'IdentifyBudgetAvailable'
        ? status === 'False'
        : status === 'True' && (type === 'Stalled' || type === 'Degraded')
    const key = `${cluster}/${type}`
    if (bad && this.#conditions.get(key) !== reason) this.say(`${cluster}: ${reason}: ${message}`)
    this.#conditions.set(key, bad ? reason : '')
  }

  stop(): void {
    this.#progress.stop()
  }

  #allReady(clusters: readonly LocalCluster[], total: number): void {
    if (!this.#hinted) {
      this.#progress.update(total, total, 'all shards are connected')
      this.#progress.stop()
      for (const hint of this.#hints) this.say(hint)
      this.#hinted = true
      this.#events = this.#bot?.stats().events ?? 0
      return
    }
    if (!this.#bot) return
    const { events, lost, duplicates, longestSilenceMs } = this.#bot.stats()
    const workers = clusters.map((cluster) =>
      cluster
        .fleet()
        .workers.filter(({ held }) => held > 0)
        .map(({ range, ready }) => `${range.first}-${range.last}:${ready}`)
        .join(' '),
    )
    const delivery = `lost ${lost}  twice ${duplicates}  longest silence ${(longestSilenceMs / 1000).toFixed(1)} s`
    const traffic = `events ${events} (+${events - this.#events}/s)  ${delivery}`
    this.say(`${traffic}  shards ${total}/${total}  workers ${workers.join(' | ')}`)
    this.#events = events
  }
}
