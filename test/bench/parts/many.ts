import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fakeToken } from '../../../src/simulator/index.ts'
import { startApiServer } from '../../support/apiserver/apiserver.ts'
import type { AuditedCall } from '../../support/apiserver/audit.ts'
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
const MAX_CONCURRENCY = 8
/** Milliseconds; a tenth of what Discord takes, so that identifying is no part of what is measured. */
const WINDOW_MS = 500
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
  /** What the operator has done so far, and asked of the API server. */
  use(): Promise<Use>
  readonly shapes: readonly ClusterShape[]
  readonly mended: readonly ClusterShape[]
}

const keyOf = ({ namespace, name }: ClusterShape): string => `${namespace}/${name}`

/** Many ShardClusters of one operator, some of them in trouble: what they cost together, and that none waits for another. */
export async function many(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const world = await begin(ending)
  const { clusters, use, shapes, simulator } = world
  const before = await use()
  const startedAt = performance.now()
  const noise = new AbortController()
  await clusters.applyAll(shapes)
  const noisy = shapes.find((shape) => keyOf(shape) === NOISY) as ClusterShape
  const disturbed = clusters.disturb(noisy, NOISE_EVERY_MS, noise.signal)
  const sound = shapes.filter((shape) => keyOf(shape) !== NO_SECRET && keyOf(shape) !== NO_ANSWER)
  await allReady(clusters, sound, say)
  const readySeconds = (performance.now() - startedAt) / 1_000
  const broken = shapes.length - (await clusters.look()).ready.size
  const started = await use()
  noise.abort()
  const changes = await disturbed
  for (const shape of world.mended) await clusters.secret(shape.namespace, shape.secret, tokenOf(shape), AUTHORIZATION)
  await clusters.applyAll(world.mended)
  await allReady(clusters, shapes, say)
  await sleep(SETTLE_MS)
  say(`many: all ${shapes.length} are Ready; a quiet minute`)
  const settled = await use()
  await sleep(QUIET_MS)
  const quiet = await use()
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
  const user = { name: 'operator', groups: ['system:masters'] }
  const server = ending.adopt(await startApiServer({ users: [user], audited: [user.name] }), (s) => s.stop())
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
  const operator = ending.adopt(await OperatorProcess.start(server.kubeconfigOf(user.name)), (o) => o.stop())
  const use = async () => ({ ...(await operator.use()), calls: counted(server.calls()) })
  return { simulator, clusters, use, ...shapesOf(pods) }
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
  let told = ''
  await until(
    `${shapes.length} ShardClusters Ready`,
    TIMEOUT_MS,
    async () => {
      const { ready, waiting } = await clusters.look()
      const missing = shapes.map(keyOf).filter((key) => !ready.has(key))
      const [first = ''] = missing
      const line =
        missing.length <= 2 ? `${first}: ${waiting.get(first)}` : `${25 * Math.floor(ready.size / 25)} are Ready`
      if (missing.length > 0 && line !== told) say(`many: ${line}`)
      told = line
      return missing.length === 0
    },
    250,
  )
}

/** By verb and resource. */
type Calls = Readonly<Record<string, number>>

interface Use extends OperatorUse {
  readonly calls: Calls
}

function counted(calls: readonly AuditedCall[]): Calls {
  const counts: Record<string, number> = {}
  for (const { verb, resource } of calls) {
    const name = `${verb} ${resource}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const difference = (before: Use, after: Use): Use => ({
  calls: Object.fromEntries(
    Object.entries(after.calls).map(([name, count]) => [name, count - (before.calls[name] ?? 0)]),
  ),
  reconciles: after.reconciles - before.reconciles,
  reconcileErrors: after.reconcileErrors - before.reconcileErrors,
  cpuSeconds: after.cpuSeconds - before.cpuSeconds,
  rssBytes: after.rssBytes,
})

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

/** The Lease's renewals, which there are as long as there is an operator. */
const RENEWAL = 'update leases'
const sum = (calls: Calls): number => Object.values(calls).reduce((total, count) => total + count, 0)

function report(measured: Measurement): Part {
  const { readySeconds, broken, changes, starting, quiet, violations, identifies } = measured
  const beyond = sum(quiet.calls) - (quiet.calls[RENEWAL] ?? 0)
  const total = NAMESPACES * SHARDS.length
  const shards = NAMESPACES * SHARDS.reduce((all, count) => all + count, 0)
  return {
    name: 'many',
    about:
      `${total} ShardClusters in ${NAMESPACES} namespaces, ${NAMESPACES + 1} bots, ${WORKERS} workers each, ` +
      `${shards.toLocaleString('en')} shards (simulated workers, a real API server, whose audit log has the calls); one ` +
      `changed ${changes} times meanwhile, one had no Secret and the REST proxy of one hung.`,
    columns: ['the operator', 'to all Ready', 'a quiet minute'],
    rows: rowsOf(readySeconds, starting, quiet),
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

function rowsOf(readySeconds: number, starting: Use, quiet: Use): string[][] {
  const row = (name: string, value: (use: Use) => number | string) => [name, value(starting), value(quiet)].map(String)
  const names = Object.keys(quiet.calls).filter((name) => starting.calls[name] || quiet.calls[name])
  return [
    ['seconds', readySeconds.toFixed(1), (QUIET_MS / 1_000).toFixed(1)],
    row('reconciles', ({ reconciles }) => reconciles),
    row('of them failed', ({ reconcileErrors }) => reconcileErrors),
    row('CPU seconds', ({ cpuSeconds }) => cpuSeconds.toFixed(2)),
    row('RSS MB at the end', ({ rssBytes }) => (rssBytes / 1e6).toFixed(0)),
    row('API calls', ({ calls }) => sum(calls)),
    ...names.sort().map((name) => row(name, ({ calls }) => calls[name] ?? 0)),
  ]
}
