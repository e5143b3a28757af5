import { readFileSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Registry } from 'prom-client'
import type { BotApi } from '../bot-api/bot-api.ts'
import { firstTermAt } from '../domain/epoch.ts'
import { workerAgent } from '../manager/http-worker.ts'
import { Lanes } from '../manager/lanes.ts'
import { createManagerMetrics } from '../manager/metrics.ts'
import { type Clock, sleep } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { LocalCluster, type LocalOptions } from './local-cluster.ts'
import { type Manifest, ManifestError, parseManifest } from './manifest.ts'
import type { RunDirectory } from './run-directory.ts'

/** What a run tells people. */
export interface RunDisplay {
  /** A line that stays. */
  say(line: string): void
  /** Called about every second, and when something changed. */
  show(clusters: readonly LocalCluster[]): void
}

export interface RunOptions {
  readonly file: string
  readonly clock: Clock
  readonly logger: Logger
  readonly directory: RunDirectory
  /** Where sessions outlive the run; undefined: they end with it. */
  readonly sessionsFolder: string | undefined
  readonly display: RunDisplay
  /** Answers for what runs. */
  readonly botApi: Pick<BotApi, 'serve'>
  /** Ends the run. */
  readonly signal: AbortSignal
}

/** Editors save in several steps; what is read in between is half a file. Milliseconds. */
const SETTLE_MS = 100

/**
 * Runs the ShardClusters of a manifest until `signal` aborts, and again whenever the file is saved: what
 * `kubectl apply` is. A file that cannot be used is refused and what runs goes on.
 * @throws ManifestError when the file cannot be used at the start.
 */
export async function runManifest(options: RunOptions): Promise<void> {
  const { file, clock, display, botApi, signal } = options
  const runner = new Runner(options)
  runner.apply(load(file))
  const standDown = botApi.serve({
    find: (namespace, name) =>
      runner
        .clusters()
        .map(({ apiTarget }) => apiTarget)
        .find((target) => target.namespace === namespace && target.name === name),
  })
  const watcher = watchFile(file, () => {
    try {
      runner.apply(load(file))
      display.say(`${basename(file)} was applied`)
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      display.say(`${error.message}\nThe file is not applied; what runs goes on.`)
    }
  })
  try {
    while (!signal.aborted) {
      display.show(runner.clusters())
      await sleep(clock, 1_000, signal)
    }
  } finally {
    watcher()
    standDown()
    await runner.stop()
  }
}

function load(file: string): Manifest {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ManifestError(`${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
  return parseManifest(text, file)
}

/** Watches the folder, not the file: editors replace a file, and a watch on it would go with the old one. */
function watchFile(file: string, onSave: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  let last = ''
  const watcher = watch(dirname(file) || '.', (_event, name) => {
    if (name !== basename(file)) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      const text = readOr(file, last)
      if (text === last) return
      last = text
      onSave()
    }, SETTLE_MS)
  })
  last = readOr(file, '')
  return () => {
    clearTimeout(timer)
    watcher.close()
  }
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

/** The ShardClusters that run, by name. */
class Runner {
  readonly #running = new Map<string, { cluster: LocalCluster; manifest: Manifest }>()
  readonly #options: LocalOptions
  readonly #ending = new Set<Promise<unknown>>()
  readonly #agent = workerAgent()

  constructor({ clock, logger, directory, sessionsFolder, display }: RunOptions) {
    const lanes = new Lanes({ clock, random: Math.random, logger, leadingSince: clock.now() })
    this.#options = {
      clock,
      logger,
      lanes,
      dispatcher: this.#agent,
      directory,
      sessionsFolder,
      metrics: createManagerMetrics(new Registry()),
      term: firstTermAt(clock.date()),
      onTrouble: (message) => display.say(message),
    }
  }

  clusters(): LocalCluster[] {
    return [...this.#running.values()].map(({ cluster }) => cluster)
  }

  apply(manifest: Manifest): void {
    const wanted = new Set(manifest.clusters.map(({ metadata }) => metadata.name))
    for (const [name, { cluster }] of this.#running) if (!wanted.has(name)) this.#end(name, cluster)
    for (const shardCluster of manifest.clusters) {
      const { name } = shardCluster.metadata
      const known = this.#running.get(name)
      if (known && LocalCluster.same(known.cluster.manifest, known.manifest, shardCluster, manifest)) {
        known.cluster.apply(shardCluster, manifest)
        known.manifest = manifest
        continue
      }
      if (known) this.#end(name, known.cluster)
      this.#running.set(name, { cluster: new LocalCluster(shardCluster, manifest, this.#options), manifest })
    }
  }

  async stop(): Promise<void> {
    for (const [name, { cluster }] of this.#running) this.#end(name, cluster)
    await Promise.all(this.#ending)
    this.#options.lanes.stop()
    await this.#agent.destroy()
  }

  #end(name: string, cluster: LocalCluster): void {
    this.#running.delete(name)
    const ending = cluster.stop().finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }
}
