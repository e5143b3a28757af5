import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { intentMask } from '../../../src/simulator/rules/intents.ts'
import { Child } from '../harness/child.ts'
import { median, type Part } from '../harness/report.ts'
import { startSharder } from '../harness/sharder.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { SinkProcess } from '../harness/sink.ts'
import { until } from '../harness/until.ts'
import { cpuSeconds } from '../harness/usage.ts'
import type { PeerSettings } from '../peers/settings.ts'

const SHARDS = 16
const ROUNDS = 3
const BURST_TIMEOUT_MS = 120_000
const COMPRESSIONS = ['None', 'ZlibStream'] as const
type Compression = (typeof COMPRESSIONS)[number]
/** MESSAGE_CREATE, about 1.2 KB, and now and then a CHANNEL_UPDATE. */
const INTENTS = intentMask('Guilds') | intentMask('GuildMessages')

/** A forwarder, and how many events a shard it is given: enough for some seconds of its CPU time. */
interface Forwarder {
  readonly name: string
  readonly eventsPerShard: Readonly<Record<Compression, number>>
  /** The sharder's goal: so many times the events of this one per CPU second. */
  readonly atLeast?: number
  start(world: World, compression: Compression): Promise<Child>
}

interface World {
  readonly simulator: SimulatorProcess
  readonly sink: SinkProcess
  readonly directory: RunDirectory
  readonly token: string
}

interface Run {
  readonly round: number
  readonly forwarder: string
  readonly compression: Compression
  readonly events: number
  readonly cpuSeconds: number
  readonly perCpuSecond: number
}

const FORWARDERS: readonly Forwarder[] = [
  {
    name: 'sharder',
    eventsPerShard: { None: 40_000, ZlibStream: 10_000 },
    start: ({ simulator, sink, directory, token }, compression) =>
      startSharder({
        directory,
        token,
        sinkUrl: sink.url,
        shards: SHARDS,
        gateway: { url: simulator.gatewayUrl, version: 10, intents: INTENTS, compression },
      }),
  },
  {
    name: 'discordeno, a fetch an event',
    eventsPerShard: { None: 1_000, ZlibStream: 1_000 },
    atLeast: 20,
    start: (world, compression) => startPeer('discordeno-guide', world, compression),
  },
  {
    name: 'discordeno, batches',
    eventsPerShard: { None: 8_000, ZlibStream: 4_000 },
    atLeast: 3,
    start: (world, compression) => startPeer('discordeno-batch', world, compression),
  },
  {
    name: '@discordjs/ws, batches',
    eventsPerShard: { None: 8_000, ZlibStream: 4_000 },
    atLeast: 3,
    start: (world, compression) => startPeer('discordjs-batch', world, compression),
  },
]

/** Events per second of CPU time through one process, beside what others do with the same events. */
export async function events(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const simulator = ending.adopt(
    await SimulatorProcess.start({
      bots: [{ token, maxConcurrency: SHARDS }],
      // Forwarders come and go; what one leaves behind shall not weigh on the next.
      identifyWindowMs: 1,
      sessionLifetimeMs: 1_000,
    }),
    (s) => s.stop(),
  )
  const sink = ending.adopt(await SinkProcess.start(), (s) => s.stop())
  const world = { simulator, sink, directory, token }
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const compression of COMPRESSIONS) {
      // Whoever goes first meets the machine in another state: the order turns round.
      for (const forwarder of round % 2 === 0 ? FORWARDERS : FORWARDERS.toReversed()) {
        const run = await measureOne(world, forwarder, compression, round)
        runs.push(run)
        say(`events: ${forwarder.name}, ${compression}: ${Math.round(run.perCpuSecond)} per CPU second`)
      }
    }
  }
  return report(runs, violationsOf(await simulator.stats()))
}

async function measureOne(world: World, forwarder: Forwarder, compression: Compression, round: number): Promise<Run> {
  const child = await forwarder.start(world, compression)
  try {
    const perShard = forwarder.eventsPerShard[compression]
    // A third of it first: the code is compiled and the buffers have their size.
    await burst(world, Math.round(perShard / 3))
    const cpuBefore = cpuSeconds(child.pid)
    await burst(world, perShard)
    const used = cpuSeconds(child.pid) - cpuBefore
    const count = perShard * SHARDS
    const key = { round, forwarder: forwarder.name, compression }
    return { ...key, events: count, cpuSeconds: used, perCpuSecond: count / used }
  } finally {
    await child.stop()
  }
}

/** So many events to each shard; resolves when the sink has confirmed them. @throws Error when they do not arrive, or more do. */
async function burst({ simulator, sink }: World, perShard: number): Promise<void> {
  const expected = (await sink.settled()).events + perShard * SHARDS
  await simulator.control('burst', { count: perShard })
  try {
    await until(`${perShard} events a shard`, BURST_TIMEOUT_MS, async () => (await sink.counts()).events >= expected)
  } catch (cause) {
    const { events: arrived } = await sink.counts()
    const { burstsLeft, connectedShards, closes, violations } = await simulator.stats()
    const seen = JSON.stringify({ missing: expected - arrived, burstsLeft, connectedShards, closes, violations })
    throw new Error(`not every event arrived: ${seen}`, { cause })
  }
  const { events: arrived } = await sink.settled()
  if (arrived !== expected) throw new Error(`${arrived - expected} events arrived that were never sent`)
}

function startPeer(name: string, { simulator, sink, token }: World, compression: Compression): Promise<Child> {
  const { gatewayUrl } = simulator
  const settings: PeerSettings = { gatewayUrl, sinkUrl: sink.url, token, shards: SHARDS, intents: INTENTS, compression }
  return Child.start(new URL(`../peers/${name}.ts`, import.meta.url), { args: [JSON.stringify(settings)] })
}

function report(runs: readonly Run[], violations: number): Part {
  const rate = (forwarder: string | undefined, compression: Compression) =>
    median(runs.filter((r) => r.forwarder === forwarder && r.compression === compression).map((r) => r.perCpuSecond))
  const ours = FORWARDERS[0]?.name
  const ratio = (forwarder: string, compression: Compression) => rate(ours, compression) / rate(forwarder, compression)
  const cells = (name: string, compression: Compression) => {
    const perSecond = rate(name, compression)
    const times = name === ours ? '' : `${ratio(name, compression).toFixed(1)}x`
    return [Math.round(perSecond).toLocaleString('en'), (1e6 / perSecond).toFixed(2), times]
  }
  return {
    name: 'events',
    about:
      `Events per second of CPU time (user and system, the forwarding process alone), ${SHARDS} shards, MESSAGE_CREATE ` +
      `of 1.2 KB in bursts; same simulator, same sink, order alternating, medians of ${ROUNDS} rounds. Every event was confirmed by the sink.`,
    columns: ['forwarder', ...COMPRESSIONS.flatMap((c) => [`${c}: events/CPU s`, 'µs/event', 'sharder is'])],
    rows: FORWARDERS.map(({ name }) => [name, ...COMPRESSIONS.flatMap((c) => cells(name, c))]),
    goals: [
      ...FORWARDERS.flatMap(({ name, atLeast }) =>
        atLeast === undefined
          ? []
          : COMPRESSIONS.map((c) => ({
              text: `${c}: at least ${atLeast}x ${name}: ${ratio(name, c).toFixed(1)}x`,
              met: ratio(name, c) >= atLeast,
            })),
      ),
      { text: `no rule of Discord was broken: ${violations} violations`, met: violations === 0 },
    ],
    raw: runs,
  }
}
