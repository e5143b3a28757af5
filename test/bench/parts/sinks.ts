import { setTimeout as sleep } from 'node:timers/promises'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { type SinkKind, startSink } from '../harness/bench-sink.ts'
import type { Child } from '../harness/child.ts'
import {
  burst,
  type Compression,
  SHARDS,
  startPeer,
  startWorldSharder,
  type World,
  worldSimulator,
} from '../harness/forwarders.ts'
import type { Goal, Part } from '../harness/report.ts'
import { violationsOf } from '../harness/simulator.ts'
import type { Latency } from '../harness/sink.ts'
import { cpuSeconds } from '../harness/usage.ts'

const KINDS: readonly SinkKind[] = ['http', 'http-event', 'nats', 'redis', 'rabbitmq']
const COMPRESSIONS: readonly Compression[] = ['None', 'ZlibStream']
/** Traffic flows for so long before latencies are measured, and then for so long, in milliseconds. */
const LEAD_MS = 500
const TIMED_MS = 2_000
const P99_GOAL_MS = 10

interface Forwarder {
  readonly name: string
  /** How many times the events of the slowest it is given. */
  readonly quick: boolean
  start(world: World, compression: Compression): Promise<Child>
}
const FORWARDERS: readonly Forwarder[] = [
  { name: 'sharder', quick: true, start: (world, compression) => startWorldSharder(world, compression) },
  { name: 'sharder, 2 threads', quick: true, start: (world, compression) => startWorldSharder(world, compression, 2) },
  { name: 'discordeno', quick: false, start: (world, compression) => startPeer('discordeno', world, compression) },
  { name: '@discordjs/ws', quick: false, start: (world, compression) => startPeer('discordjs', world, compression) },
]

interface Run extends Latency {
  readonly sink: SinkKind
  readonly forwarder: string
  readonly compression: Compression
  readonly cpuMicroseconds: number
  /** Confirmed by the sink, saturated. */
  readonly perSecond: number
}

/** What each sink costs and how long it takes, beside others that bring the same events to the same server. */
export async function sinks(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const simulator = ending.adopt(await worldSimulator(token, false), (s) => s.stop())
  const runs: Run[] = []
  for (const kind of KINDS) {
    await using server = new AsyncDisposableStack()
    const world: World = { simulator, directory, token, sink: await startSink(kind, directory, server) }
    for (const compression of COMPRESSIONS) {
      for (const forwarder of FORWARDERS) {
        const run = await measureOne(world, forwarder, compression)
        runs.push(run)
        say(`sinks: ${kind}, ${forwarder.name}, ${compression}: ${cells(run).join(' / ')}`)
      }
    }
  }
  return report(runs, violationsOf(await simulator.stats()))
}

/** Enough for about two seconds, and little enough for the memory of a broker. */
function eventsPerShard(kind: SinkKind, { quick }: Forwarder, compression: Compression): number {
  if (kind !== 'http') return kind === 'http-event' ? 1_000 : 2_000
  if (!quick) return 2_500
  return compression === 'None' ? 30_000 : 6_000
}

async function measureOne(world: World, forwarder: Forwarder, compression: Compression): Promise<Run> {
  const { simulator, sink } = world
  const child = await forwarder.start(world, compression)
  try {
    const perShard = eventsPerShard(sink.address.kind, forwarder, compression)
    // A third of it first: the code is compiled, the connections are made and the buffers have their size.
    await burst(world, Math.round(perShard / 3))
    const before = cpuSeconds(child.pid)
    const seconds = await burst(world, perShard)
    const events = perShard * SHARDS
    const cpuMicroseconds = ((cpuSeconds(child.pid) - before) * 1e6) / events
    const perSecond = events / seconds
    await simulator.control('events-per-second', { value: perSecond / 2 })
    await sleep(LEAD_MS)
    await sink.process.startTiming()
    await sleep(TIMED_MS)
    const latency = await sink.process.endTiming()
    await simulator.control('events-per-second', { value: 0 })
    await sink.process.settled()
    return { sink: sink.address.kind, forwarder: forwarder.name, compression, cpuMicroseconds, perSecond, ...latency }
  } finally {
    await simulator.control('events-per-second', { value: 0 })
    await child.stop()
    await sink.empty()
  }
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
      `${SHARDS} shards, MESSAGE_CREATE of 1.2 KB, each sink a real server on the same machine; the others use the ` +
      'same client library. µs of CPU time of the forwarding process an event and events a second, saturated; then, at ' +
      "half of that rate, the time from the simulator's send to the answer of the http sink, or to a consumer of the " +
      'broker, which has an event no earlier than it is confirmed. One run each.',
    columns: ['sink', 'forwarder', ...columns],
    rows: KINDS.flatMap((sink) =>
      FORWARDERS.map(({ name }) => [
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

const latencyGoal = ({ compression, p99 }: Run): Goal => ({
  text: `http, one thread, ${compression}: p99 at half of the saturation rate is below ${P99_GOAL_MS} ms: ${p99} ms`,
  met: p99 < P99_GOAL_MS,
})
