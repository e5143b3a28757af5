import { setTimeout as sleep } from 'node:timers/promises'
import type { SinkKind } from '../harness/bench-sink.ts'
import { COMPRESSIONS, type Compression, type ForwarderName, startForwarder } from '../harness/forwarders.ts'
import { Progress } from '../harness/progress.ts'
import type { Goal, Part } from '../harness/report.ts'
import { violationsOf } from '../harness/simulator.ts'
import type { Latency } from '../harness/sink.ts'
import { cpuSeconds } from '../harness/usage.ts'
import { atRest, burst, startWorld, type World } from '../harness/world.ts'

const KINDS: readonly SinkKind[] = ['http', 'http-event', 'nats', 'redis', 'rabbitmq']
const FORWARDERS: readonly ForwarderName[] = ['sharder', 'sharder, 2 threads', 'discordeno', '@discordjs/ws']
/** Bursts grow from so many events a shard until they take this long: then the code is compiled and buffers have their size. */
const FIRST_BURST = 50
const WARM_SECONDS = 0.4
const MOST_GROWTH = 8
/** How long the burst that counts takes. */
const BURST_SECONDS = 1
/** Traffic flows, and is timed, for so long before it counts, in milliseconds. */
const LEAD_MS = 500
/**
 * Then it is timed for so long, in milliseconds, so many times, and the time with the median p99 counts: in 2 s one pause
 * of 20 ms is the 99th percentile, and a virtual machine makes such pauses every now and then.
 */
const TIMED_MS = 2_000
const TIMES = 3
const P99_GOAL_MS = 10

interface Timed extends Latency {
  readonly worstP99: number
}

interface Run extends Timed {
  readonly sink: SinkKind
  readonly forwarder: ForwarderName
  readonly compression: Compression
  readonly cpuMicroseconds: number
  /** Confirmed by the sink, saturated. */
  readonly perSecond: number
}

/** What each sink costs and how long it takes, beside others that bring the same events to the same server. */
export async function sinks(say: (line: string) => void): Promise<Part> {
  const runs: Run[] = []
  let violations = 0
  const progress = new Progress(say, 'sinks', KINDS.length * COMPRESSIONS.length * FORWARDERS.length)
  for (const sink of KINDS) {
    await using ending = new AsyncDisposableStack()
    const world = await startWorld(ending, { sink })
    for (const compression of COMPRESSIONS) {
      for (const forwarder of FORWARDERS) {
        const run = await measureOne(world, forwarder, compression)
        runs.push(run)
        progress.step(`${sink}, ${forwarder}, ${compression}: ${cells(run).join(' / ')}`)
      }
    }
    violations += violationsOf(await world.simulator.stats())
  }
  return report(runs, violations)
}

async function measureOne(world: World, forwarder: ForwarderName, compression: Compression): Promise<Run> {
  const { sink } = world
  const child = await startForwarder(forwarder, world, compression)
  try {
    const perShard = Math.round((await warmUp(world)) * BURST_SECONDS)
    const before = cpuSeconds(child.pid)
    const seconds = await burst(world, perShard)
    const count = perShard * world.shards
    const cpuMicroseconds = ((cpuSeconds(child.pid) - before) * 1e6) / count
    const perSecond = count / seconds
    const latency = await latencyAt(world, perSecond / 2)
    return { sink: sink.address.kind, forwarder, compression, cpuMicroseconds, perSecond, ...latency }
  } finally {
    await child.stop()
    await sink.empty()
  }
}

/** @returns how many events a second each shard can have, when the forwarder is warm. */
async function warmUp(world: World): Promise<number> {
  for (let perShard = FIRST_BURST; ; ) {
    const seconds = await burst(world, perShard)
    if (seconds >= WARM_SECONDS) return perShard / seconds
    perShard = Math.ceil(perShard * Math.min(MOST_GROWTH, (1.5 * WARM_SECONDS) / seconds))
  }
}

/** With so many events a second over all shards. */
async function latencyAt(world: World, perSecond: number): Promise<Timed> {
  const { simulator, sink } = world
  // The forwarder collects its own whenever it has to: that is part of what it is.
  await Promise.all([simulator.collectGarbage(), sink.process.collectGarbage()])
  await simulator.control('events-per-second', { value: perSecond })
  try {
    // Once before it counts, so that its code is compiled.
    await sink.process.startTiming()
    await sleep(LEAD_MS)
    const times: Latency[] = []
    while (times.length < TIMES) {
      await sink.process.startTiming()
      await sleep(TIMED_MS)
      times.push(await sink.process.endTiming())
    }
    return median(times)
  } finally {
    await simulator.control('events-per-second', { value: 0 })
    await atRest(world)
  }
}

/** The times in the middle, and the longest p99 of all. */
function median(times: readonly Latency[]): Timed {
  const sorted = times.toSorted((a, b) => a.p99 - b.p99)
  return { ...(sorted[TIMES >> 1] as Latency), worstP99: (sorted.at(-1) as Latency).p99 }
}

const cells = ({ cpuMicroseconds, perSecond, p50, p99 }: Run): string[] => [
  cpuMicroseconds.toFixed(cpuMicroseconds < 100 ? 1 : 0),
  `${(perSecond / 1_000).toFixed(1)}k`,
  String(p50),
  String(p99),
]

function report(runs: readonly Run[], violations: number): Part {
  const find = (sink: SinkKind, forwarder: string, compression: Compression) =>
    runs.filter((r) => r.sink === sink && r.forwarder === forwarder && r.compression === compression)
  const columns = COMPRESSIONS.flatMap((name) => [`${name}: µs/event`, 'events/s', 'p50 ms', 'p99 ms'])
  return {
    name: 'sinks',
    about:
      '16 shards, MESSAGE_CREATE of 1.2 KB, each sink a real server on the same machine; the others use the same client ' +
      'library, a batch at a time, where the sharder has one event of a shard in flight with http-event, nats and rabbitmq ' +
      '(docs/decisions.md). Saturated: µs of CPU time of the forwarding process an event, and events a second (where both together ' +
      'are less than a core, it was the simulator or the sink that could not do more). Then, at half of these events a ' +
      "second: the time from the simulator's send to the answer of the http sink, or to a consumer of the broker, which " +
      'has an event when the broker confirms it: of three times 2 s those with the median p99. One run each.',
    columns: ['sink', 'forwarder', ...columns],
    rows: KINDS.flatMap((sink) =>
      FORWARDERS.map((name) => [
        sink,
        name,
        ...COMPRESSIONS.flatMap((compression) => find(sink, name, compression).flatMap(cells)),
      ]),
    ),
    goals: [
      ...runs.filter(({ sink, forwarder }) => sink === 'http' && forwarder === 'sharder').map(latencyGoal),
      { text: `no rule of Discord was broken: ${violations} violations`, met: violations === 0 },
    ],
    raw: runs,
  }
}

const latencyGoal = ({ compression, p99, worstP99 }: Run): Goal => ({
  text:
    `http, one thread, ${compression}: p99 at half of the saturation rate is below ${P99_GOAL_MS} ms: ` +
    `${p99} ms (the worst of ${TIMES} times: ${worstP99} ms)`,
  met: p99 < P99_GOAL_MS,
})
