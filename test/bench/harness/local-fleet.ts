import { Registry } from 'prom-client'
import { stringify } from 'yaml'
import { API_VERSION, KIND, type ShardCluster, type ShardClusterManifest } from '../../../src/api/shard-cluster.ts'
import { LocalCluster } from '../../../src/local/local-cluster.ts'
import { type Manifest, parseManifest } from '../../../src/local/manifest.ts'
import type { RunDirectory } from '../../../src/local/run-directory.ts'
import { workerAgent } from '../../../src/manager/http-worker.ts'
import { Lanes } from '../../../src/manager/lanes.ts'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'

/** What a benchmark's ShardCluster is. */
export interface FleetShape {
  readonly totalShards: number
  readonly totalWorkers: number
  readonly shardsPerWorker: number
  /** One IDENTIFY a bucket and this many milliseconds. */
  readonly windowMs: number
  readonly intents: ShardClusterManifest['spec']['gateway']['intents']
  readonly token: string
  readonly discordUrl: string
  readonly sinkUrl: string
}

/** A ShardCluster in local mode: the real manager in this process, real sharder processes as its workers. */
export class LocalFleet {
  readonly cluster: LocalCluster
  readonly #shape: FleetShape

  private constructor(cluster: LocalCluster, shape: FleetShape) {
    this.cluster = cluster
    this.#shape = shape
  }

  /** It ends with `ending`. */
  static start(ending: AsyncDisposableStack, directory: RunDirectory, shape: FleetShape): LocalFleet {
    const clock = systemClock
    const logger = createLogger('manager', 'warn')
    const dispatcher = ending.adopt(workerAgent(), (agent) => agent.destroy())
    const lanes = ending.adopt(new Lanes({ clock, random: Math.random, logger, leadingSince: clock.now() }), (l) =>
      l.stop(),
    )
    const [shardCluster, manifest] = manifestOf(shape)
    const onTrouble = (message: string) => console.error(message)
    const metrics = createManagerMetrics(new Registry())
    const ways = { lanes, dispatcher, directory, metrics, sessionsFolder: undefined }
    const options = { clock, logger, ...ways, term: 1, onTrouble }
    const cluster = ending.adopt(new LocalCluster(shardCluster, manifest, options), async (c) => {
      await c.stop()
    })
    return new LocalFleet(cluster, shape)
  }

  /** Every shard is connected, on the worker that shall hold it. */
  get settled(): boolean {
    const { ready, misplaced } = this.cluster.fleet()
    return ready === this.#shape.totalShards && misplaced === 0
  }

  scale(totalWorkers: number): void {
    this.cluster.apply(...manifestOf({ ...this.#shape, totalWorkers }))
  }
}

function manifestOf(shape: FleetShape): [ShardCluster, Manifest] {
  const { totalShards, totalWorkers, shardsPerWorker, windowMs, intents, token, discordUrl, sinkUrl } = shape
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'bot' }, stringData: { token } }
  const cluster: ShardClusterManifest = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'bot' },
    spec: {
      totalShards,
      totalWorkers,
      shardsPerWorker,
      tokenSecretRef: { name: 'bot' },
      rest: { baseUrl: discordUrl },
      gateway: { intents, hosts: ['ws://127.0.0.1'] },
      identify: { windowMilliseconds: windowMs },
      events: [{ name: 'bench', http: { url: sinkUrl } }],
      worker: { logLevel: 'warn', terminationGracePeriodSeconds: 30 },
    },
  }
  const manifest = parseManifest(`${stringify(secret)}---\n${stringify(cluster)}`, 'the benchmark')
  const [shardCluster] = manifest.clusters
  if (!shardCluster) throw new Error('the manifest of the benchmark has no ShardCluster')
  return [shardCluster, manifest]
}
