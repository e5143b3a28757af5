import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fakeToken } from '../../../src/simulator/index.ts'
import { startApiServer } from '../../support/apiserver/apiserver.ts'
import { type ClusterShape, ManyClusters } from '../harness/many-clusters.ts'
import { OperatorProcess, type OperatorUse } from '../harness/operator.ts'
import { PodsProcess } from '../harness/pods.ts'
import type { Part } from '../harness/report.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { forEach, until } from '../harness/until.ts'

/** A bot each. */
const NAMESPACES = 20
/** ShardClusters of one bot, which share its buckets; each of another number of shards, so that each has its own. */
const SHARDS = [8, 9, 10, 11, 12]
const WORKERS = 2
const MAX_CONCURRENCY = 4
const WINDOW_MS = 200
const TIMEOUT_MS = 300_000
const QUIET_MS = 60_000
/** What the last status write set off is over after this long, in milliseconds; sessions are saved within 5 s. */
const SETTLE_MS = 15_000
const NOISE_EVERY_MS = 100
const AUTHORIZATION = 'rest-key'
const CRD = fileURLToPath(new URL('../../../crds/shardcluster.yaml', import.meta.url))

/** One ShardCluster's Secret is missing, and another one's REST proxy takes every request and answers none. */
const NO_SECRET = 'tenant-3/bot-8'
const NO_ANSWER = 'tenant-7/lone'
const NOISY = 'tenant-11/bot-12'

interface World {
  readonly simulator: SimulatorProcess
  readonly clusters: ManyClusters
  readonly operator: OperatorProcess
  readonly shapes: readonly ClusterShape[]
  readonly mended: readonly ClusterShape[]
}

const keyOf = ({ namespace, name }: ClusterShape): string => `${namespace}/${name}`

/** Many ShardClusters of one operator, some of them in trouble: what they cost together, and that none waits for another. */
export async function many(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const world = await begin(ending)
  const { clusters, operator, shapes, simulator } = world
  const before = await operator.use()
  const startedAt = performance.now()
  const noise = new AbortController()
  await clusters.applyAll(shapes)
  const noisy = shapes.find((shape) => keyOf(shape) === NOISY) as ClusterShape
  const disturbed = clusters.disturb(noisy, NOISE_EVERY_MS, noise.signal)
  const sound = shapes.filter((shape) => keyOf(shape) !== NO_SECRET && keyOf(shape) !== NO_ANSWER)
  await allReady(clusters, sound, say)
  const readySeconds = (performance.now() - startedAt) / 1_000
  const broken = shapes.length - (await clusters.look()).ready.size
  const started = await operator.use()
  noise.abort()
  const changes = await disturbed
  for (const shape of world.mended) await clusters.secret(shape.namespace, shape.secret, tokenOf(shape), AUTHORIZATION)
  await clusters.applyAll(world.mended)
  await allReady(clusters, shapes, say)
  await sleep(SETTLE_MS)
  say(`many: all ${shapes.length} are Ready; a quiet minute`)
  const settled = await operator.use()
  await sleep(QUIET_MS)
  const quiet = await operator.use()
  const stats = await simulator.stats()
  return report({
    ...{ readySeconds, broken, changes },
    starting: difference(before, started),
    quiet: difference(settled, quiet),
    identifies: stats.identifies,
    violations: violationsOf(stats),
    violationDetails: stats.violationDetails.slice(0, 5),
  })
}

const applicationIdOf = (tenant: number): string => `1000000000000000${String(tenant).padStart(3, '0')}`
const tenantOf = ({ namespace }: ClusterShape): number => Number(namespace.split('-')[1])
/** The one whose REST proxy hangs has a bot of its own: those of one bot ask whichever proxy answers. */
const tokenOf = (shape: ClusterShape): string =>
  fakeToken(applicationIdOf(keyOf(shape) === NO_ANSWER ? NAMESPACES : tenantOf(shape)))

async function begin(ending: AsyncDisposableStack): Promise<World> {
  const tokens = Array.from({ length: NAMESPACES + 1 }, (_, tenant) => fakeToken(applicationIdOf(tenant)))
  const server = ending.adopt(await startApiServer(), (s) => s.stop())
  await server.kubectl(['apply', '--server-side', '--filename', CRD])
  await server.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '--filename', CRD])
  const bots = tokens.map((token) => ({ token, maxConcurrency: MAX_CONCURRENCY }))
  const simulator = ending.adopt(await SimulatorProcess.start({ bots, identifyWindowMs: WINDOW_MS }), (s) => s.stop())
  const { kubeconfig } = server
  const addresses = { kubeconfig, discordUrl: simulator.url, tokens, authorization: AUTHORIZATION }
  const pods = ending.adopt(await PodsProcess.start(addresses), (p) => p.stop())
  const clusters = ending.adopt(new ManyClusters(kubeconfig), (c) => c.close())
  await forEach([...Array(NAMESPACES).keys()], 8, (tenant) =>
    clusters.namespace(`tenant-${tenant}`, tokens[tenant] as string, AUTHORIZATION),
  )
  const operator = ending.adopt(await OperatorProcess.start(kubeconfig), (o) => o.stop())
  return { simulator, clusters, operator, ...shapesOf(pods) }
}

/** What is applied first, and what is put right later. */
function shapesOf({ proxies, hangingProxy }: PodsProcess): Pick<World, 'shapes' | 'mended'> {
  const all = Array.from({ length: NAMESPACES }, (_, tenant) =>
    SHARDS.map((totalShards): ClusterShape => {
      const namespace = `tenant-${tenant}`
      const alone = `${namespace}/lone` === NO_ANSWER && totalShards === SHARDS[0]
      return {
        ...{ namespace, totalShards, totalWorkers: WORKERS, windowMs: WINDOW_MS },
        name: alone ? 'lone' : `bot-${totalShards}`,
        secret: alone ? 'lone' : 'bot',
        restUrl: proxies[alone ? NAMESPACES : tenant] as string,
      }
    }),
  ).flat()
  const only = (key: string) => all.find((shape) => keyOf(shape) === key) as ClusterShape
  const [noSecret, noAnswer] = [{ ...only(NO_SECRET), secret: 'later' }, only(NO_ANSWER)]
  const shapes = all.map((shape) => {
    if (keyOf(shape) === NO_SECRET) return noSecret
    return keyOf(shape) === NO_ANSWER ? { ...shape, restUrl: hangingProxy } : shape
  })
  return { shapes, mended: [noSecret, noAnswer] }
}

async function allReady(
  clusters: ManyClusters,
  shapes: readonly ClusterShape[],
  say: (line: string) => void,
): Promise<void> {
  let told = 0
  let missing: string[] = []
  await until(
    `${shapes.length} ShardClusters Ready`,
    TIMEOUT_MS,
    async () => {
      const { ready, waiting } = await clusters.look()
      missing = shapes.map(keyOf).filter((key) => !ready.has(key))
      if (ready.size - told >= 25) {
        told = ready.size
        say(`many: ${ready.size} are Ready`)
      }
      if (missing.length > 0 && missing.length <= 2) say(`many: ${missing[0]}: ${waiting.get(missing[0] as string)}`)
      return missing.length === 0
    },
    250,
  )
}

interface Use extends OperatorUse {
  readonly allCalls: number
}

function difference(before: OperatorUse, after: OperatorUse): Use {
  const calls = Object.fromEntries(
    Object.entries(after.calls).map(([method, count]) => [method, count - (before.calls[method] ?? 0)]),
  )
  return {
    calls,
    allCalls: Object.values(calls).reduce((total, count) => total + count, 0),
    reconciles: after.reconciles - before.reconciles,
    reconcileErrors: after.reconcileErrors - before.reconcileErrors,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    rssBytes: after.rssBytes,
  }
}

interface Measurement {
  readonly readySeconds: number
  /** Not Ready when all the others were. */
  readonly broken: number
  /** Of the noisy one. */
  readonly changes: number
  readonly starting: Use
  readonly quiet: Use
  readonly identifies: number
  readonly violations: number
  readonly violationDetails: readonly object[]
}

const METHODS = ['GET', 'PATCH', 'POST', 'DELETE', 'PUT']

function report(measured: Measurement): Part {
  const { readySeconds, broken, changes, starting, quiet, violations, identifies } = measured
  const row = (name: string, seconds: number, use: Use) =>
    [
      ...[name, seconds.toFixed(1), use.reconciles, use.reconcileErrors],
      ...METHODS.map((method) => use.calls[method] ?? 0),
      ...[use.cpuSeconds.toFixed(2), (use.rssBytes / 1e6).toFixed(0)],
    ].map(String)
  const beyond = quiet.allCalls - (quiet.calls['PUT'] ?? 0)
  const total = NAMESPACES * SHARDS.length
  const shards = NAMESPACES * SHARDS.reduce((sum, count) => sum + count, 0)
  return {
    name: 'many',
    about:
      `${total} ShardClusters in ${NAMESPACES} namespaces, ${NAMESPACES + 1} bots, ${WORKERS} workers each, ` +
      `${shards.toLocaleString('en')} shards (simulated workers, a real API server); one changed ${changes} times ` +
      'meanwhile, one had no Secret and the REST proxy of one hung. One PUT is one renewal of the Lease.',
    columns: ['operator', 's', 'reconciles', 'errors', ...METHODS, 'CPU s', 'RSS MB'],
    rows: [row('to all Ready', readySeconds, starting), row('a quiet minute', QUIET_MS / 1_000, quiet)],
    goals: [
      { text: `the ${total - 2} sound ones were Ready while the broken ones were not: ${broken}`, met: broken === 2 },
      { text: `a quiet minute has no call beyond Lease renewals: ${beyond}`, met: beyond === 0 },
      {
        text: `no rule of Discord was broken and no IDENTIFY was wasted: ${violations} violations, ${identifies} IDENTIFYs`,
        met: violations === 0 && identifies === shards,
      },
    ],
    raw: [measured],
  }
}
