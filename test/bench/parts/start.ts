import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { LocalFleet } from '../harness/local-fleet.ts'
import type { Part } from '../harness/report.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { SinkProcess } from '../harness/sink.ts'
import { until } from '../harness/until.ts'
import { cpuSeconds } from '../harness/usage.ts'

const SHARDS = 5_000
const WORKERS = 10
const MAX_CONCURRENCY = 64
const WINDOW_MS = 1_000
const GOAL = 1.03
const TIMEOUT_MS = 300_000

/** A bucket takes one IDENTIFY a window and the first needs none: nobody can be faster. */
const LEAST_MS = (Math.ceil(SHARDS / MAX_CONCURRENCY) - 1) * WINDOW_MS

/** The first start of a large bot: the real manager, real sharder processes and a Discord that enforces the buckets. */
export async function start(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const simulator = ending.adopt(
    await SimulatorProcess.start({
      bots: [{ token, maxConcurrency: MAX_CONCURRENCY }],
      identifyWindowMs: WINDOW_MS,
      guildsPerShard: 2,
    }),
    (s) => s.stop(),
  )
  const sink = ending.adopt(await SinkProcess.start(), (s) => s.stop())
  // Ten processes that start on one machine are no part of a schedule: nobody identifies before all of them listen.
  await simulator.control('http-errors', { status: 503 })
  const shape = { totalShards: SHARDS, totalWorkers: WORKERS, shardsPerWorker: SHARDS / WORKERS, windowMs: WINDOW_MS }
  const addresses = { discordUrl: simulator.url, sinkUrl: sink.url }
  const { cluster } = LocalFleet.start(ending, directory, { ...shape, ...addresses, token, intents: ['Guilds'] })
  await until('every worker listening', TIMEOUT_MS, () => cluster.fleet().workers.every(({ connected }) => connected))
  await simulator.control('clear-faults', {})
  const managerCpu = process.cpuUsage()
  let told = 0
  await until(
    'every shard READY',
    TIMEOUT_MS,
    () => {
      const { ready } = cluster.fleet()
      if (ready - told >= 1_000) {
        told = ready
        say(`start: ${ready} of ${SHARDS} shards are READY`)
      }
      return ready === SHARDS
    },
    // Counting a fleet is not free, and it is the manager's own thread that does it.
    100,
  )
  const readyAt = Date.now()
  const { user, system } = process.cpuUsage(managerCpu)
  const stats = await simulator.stats()
  const span = stats.bots[0]?.identifySpan
  if (span === undefined) throw new Error('the simulator has seen no IDENTIFY')
  return report({
    identifyMs: span.lastAt - span.firstAt,
    readyMs: readyAt - span.firstAt,
    identifies: stats.identifies,
    violations: violationsOf(stats),
    violationDetails: stats.violationDetails.slice(0, 5),
    managerCpuSeconds: (user + system) / 1e6,
    simulatorCpuSeconds: cpuSeconds(simulator.pid),
  })
}

interface Measurement {
  readonly identifyMs: number
  readonly readyMs: number
  readonly identifies: number
  readonly violations: number
  readonly violationDetails: readonly object[]
  readonly managerCpuSeconds: number
  readonly simulatorCpuSeconds: number
}

function report(measured: Measurement): Part {
  const { identifyMs, readyMs, identifies, violations, managerCpuSeconds } = measured
  const row = (name: string, ms: number) => [name, (ms / 1000).toFixed(2), (ms / LEAST_MS).toFixed(4)]
  const ratio = identifyMs / LEAST_MS
  return {
    name: 'start',
    about:
      `${SHARDS} shards on ${WORKERS} worker processes, max_concurrency ${MAX_CONCURRENCY}, one IDENTIFY a bucket and ` +
      `${WINDOW_MS} ms; the processes are up before. The least possible is (⌈${SHARDS} / ${MAX_CONCURRENCY}⌉ - 1) windows. ` +
      `The manager used ${managerCpuSeconds.toFixed(1)} s of CPU time.`,
    columns: ['from the first IDENTIFY', 'seconds', 'of the least'],
    rows: [row('least possible', LEAST_MS), row('to the last IDENTIFY', identifyMs), row('to the last READY', readyMs)],
    goals: [
      { text: `last IDENTIFY at most ${GOAL} times the least possible: ${ratio.toFixed(4)}`, met: ratio <= GOAL },
      {
        text: `no rule of Discord was broken and no IDENTIFY was wasted: ${violations} violations, ${identifies} IDENTIFYs`,
        met: violations === 0 && identifies === SHARDS,
      },
    ],
    raw: [{ ...measured, leastMs: LEAST_MS }],
  }
}
