import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { startSink } from '../harness/bench-sink.ts'
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
import { median, type Part } from '../harness/report.ts'
import { violationsOf } from '../harness/simulator.ts'
import { cpuSeconds } from '../harness/usage.ts'

const ROUNDS = 2
const COMPRESSIONS: readonly Compression[] = ['None', 'ZlibStream']

/** How events come: Discord's gateway is TLS, but what a forwarder itself costs shows better without it. */
interface Way {
  readonly name: string
  readonly compression: Compression
  readonly tls: boolean
}
const WAYS: readonly Way[] = [false, true].flatMap((tls) =>
  COMPRESSIONS.map((compression) => ({ name: tls ? `${compression}, TLS` : compression, compression, tls })),
)
/** The goals' ways. */
const PLAIN = WAYS.filter(({ tls }) => !tls)

/** A forwarder, and how many events a shard it is given: enough for some seconds of its CPU time. */
interface Forwarder {
  readonly name: string
  readonly eventsPerShard: Readonly<Record<Compression, number>>
  /** The sharder's goals: so many times the events of this one per CPU second. */
  readonly atLeast?: Partial<Readonly<Record<Compression, number>>>
  start(world: World, compression: Compression): Promise<Child>
}

interface Run {
  readonly round: number
  readonly forwarder: string
  readonly way: string
  readonly events: number
  readonly cpuSeconds: number
  readonly perCpuSecond: number
}

const FORWARDERS: readonly Forwarder[] = [
  {
    name: 'sharder',
    eventsPerShard: { None: 40_000, ZlibStream: 10_000 },
    start: (world, compression) => startWorldSharder(world, compression),
  },
  {
    name: 'discordeno, a fetch an event',
    eventsPerShard: { None: 1_000, ZlibStream: 1_000 },
    // With compression there is no such goal: inflating costs both sides the same, and is most of what is left here.
    atLeast: { None: 20 },
    start: (world, compression) => startPeer('discordeno', { ...world, sink: oneByOne(world.sink) }, compression),
  },
  {
    name: 'discordeno, batches',
    eventsPerShard: { None: 8_000, ZlibStream: 4_000 },
    atLeast: { None: 5, ZlibStream: 5 },
    start: (world, compression) => startPeer('discordeno', world, compression),
  },
  {
    name: '@discordjs/ws, batches',
    eventsPerShard: { None: 8_000, ZlibStream: 4_000 },
    atLeast: { None: 3, ZlibStream: 3 },
    start: (world, compression) => startPeer('discordjs', world, compression),
  },
]

/** Events per second of CPU time through one process, beside what others do with the same events. */
export async function events(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const sink = await startSink('http', directory, ending)
  const worldOf = async (tls: boolean): Promise<World> => {
    const simulator = ending.adopt(await worldSimulator(token, tls), (s) => s.stop())
    return { simulator, sink, directory, token }
  }
  const plain = await worldOf(false)
  const secure = await worldOf(true)
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of WAYS) {
      // Whoever goes first meets the machine in another state: the order turns round.
      for (const forwarder of round % 2 === 0 ? FORWARDERS : FORWARDERS.toReversed()) {
        const run = await measureOne(way.tls ? secure : plain, forwarder, way, round)
        runs.push(run)
        say(`events: ${forwarder.name}, ${way.name}: ${(1e6 / run.perCpuSecond).toFixed(2)} µs an event`)
      }
    }
  }
  const stats = [await plain.simulator.stats(), await secure.simulator.stats()]
  return report(
    runs,
    stats.reduce((sum, each) => sum + violationsOf(each), 0),
  )
}

async function measureOne(world: World, forwarder: Forwarder, way: Way, round: number): Promise<Run> {
  const { compression } = way
  const child = await forwarder.start(world, compression)
  try {
    const perShard = forwarder.eventsPerShard[compression]
    // A third of it first: the code is compiled and the buffers have their size.
    await burst(world, Math.round(perShard / 3))
    const cpuBefore = cpuSeconds(child.pid)
    await burst(world, perShard)
    const used = cpuSeconds(child.pid) - cpuBefore
    const count = perShard * SHARDS
    const key = { round, forwarder: forwarder.name, way: way.name }
    return { ...key, events: count, cpuSeconds: used, perCpuSecond: count / used }
  } finally {
    await child.stop()
  }
}

/** The same server, given one event a request. */
const oneByOne = (sink: World['sink']): World['sink'] => ({
  ...sink,
  address: { kind: 'http-event', url: sink.process.url },
})

function report(runs: readonly Run[], violations: number): Part {
  const rate = (forwarder: string | undefined, way: Way) =>
    median(runs.filter((r) => r.forwarder === forwarder && r.way === way.name).map((r) => r.perCpuSecond))
  const ours = FORWARDERS[0]?.name
  const ratio = (forwarder: string, way: Way) => rate(ours, way) / rate(forwarder, way)
  const cells = (name: string, way: Way) => [
    (1e6 / rate(name, way)).toFixed(2),
    name === ours ? '' : `${ratio(name, way).toFixed(1)}x`,
  ]
  return {
    name: 'events',
    about:
      `µs of CPU time an event (user and system, the forwarding process alone), ${SHARDS} shards, MESSAGE_CREATE of ` +
      `1.2 KB in bursts; same simulators, same sink, order alternating, medians of ${ROUNDS} rounds. "sharder is": so many ` +
      'times the events in the same time. Every event was confirmed by the sink.',
    columns: ['forwarder', ...WAYS.flatMap(({ name }) => [`${name}: µs/event`, 'sharder is'])],
    rows: FORWARDERS.map(({ name }) => [name, ...WAYS.flatMap((way) => cells(name, way))]),
    goals: [
      ...FORWARDERS.flatMap(({ name, atLeast = {} }) =>
        PLAIN.flatMap((way) => {
          const least = atLeast[way.compression]
          if (least === undefined) return []
          const text = `${way.name}: at least ${least}x ${name}: ${ratio(name, way).toFixed(1)}x`
          return [{ text, met: ratio(name, way) >= least }]
        }),
      ),
      { text: `no rule of Discord was broken: ${violations} violations`, met: violations === 0 },
    ],
    raw: runs,
  }
}
