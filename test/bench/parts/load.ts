import { setTimeout as sleep } from 'node:timers/promises'
import { COMPRESSIONS, type Compression, type ForwarderName, startForwarder } from '../harness/forwarders.ts'
import { Progress } from '../harness/progress.ts'
import type { Part } from '../harness/report.ts'
import { violationsOf } from '../harness/simulator.ts'
import { memoryOf, mostRss } from '../harness/usage.ts'
import { atRest, burst, startWorld, type World } from '../harness/world.ts'

const SHARDS = 500
/** Memory is looked at after so long without an event. */
const CALM_MS = 4_000
const GOAL_MB = 300

/** A forwarder, and how many events each shard gets as fast as they are taken: some seconds' worth. */
interface Contender {
  readonly forwarder: ForwarderName
  readonly eventsPerShard: Readonly<Record<Compression, number>>
}
const CONTENDERS: readonly Contender[] = [
  { forwarder: 'sharder', eventsPerShard: { None: 1_500, ZlibStream: 300 } },
  { forwarder: 'discordeno', eventsPerShard: { None: 200, ZlibStream: 80 } },
  { forwarder: '@discordjs/ws', eventsPerShard: { None: 200, ZlibStream: 80 } },
]

interface Measurement {
  readonly forwarder: ForwarderName
  readonly compression: Compression
  readonly events: number
  readonly perSecond: number
  /** RSS in bytes. */
  readonly before: number
  readonly most: number
  readonly after: number
}

/** Resident memory of a process with as many shards as a pod holds by default, while they have as many events as it can take. */
export async function load(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const world = await startWorld(ending, { sink: 'http', shards: SHARDS, tls: true })
  const measured: Measurement[] = []
  const progress = new Progress(say, 'load', COMPRESSIONS.length * CONTENDERS.length)
  for (const compression of COMPRESSIONS) {
    for (const contender of CONTENDERS) {
      const measurement = await measureOne(world, contender, compression)
      measured.push(measurement)
      progress.step(`${contender.forwarder}, ${compression}: ${mb(measurement.most)} MB`)
    }
  }
  return report(measured, violationsOf(await world.simulator.stats()))
}

async function measureOne(world: World, contender: Contender, compression: Compression): Promise<Measurement> {
  const { forwarder, eventsPerShard } = contender
  const child = await startForwarder(forwarder, world, compression)
  try {
    const perShard = eventsPerShard[compression]
    await atRest(world)
    const before = memoryOf(child.pid).rss
    const seconds = await burst(world, perShard)
    const most = mostRss(child.pid)
    await sleep(CALM_MS)
    const events = perShard * SHARDS
    const after = memoryOf(child.pid).rss
    return { forwarder, compression, events, perSecond: events / seconds, before, most, after }
  } finally {
    await child.stop()
  }
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1)

function report(measured: readonly Measurement[], violations: number): Part {
  return {
    name: 'load',
    about:
      `${SHARDS} shards in one process and one thread, over TLS, an http sink, batches; each shard has a burst of ` +
      'MESSAGE_CREATE of 1.2 KB, as fast as they are taken. RSS in MB of 10^6 bytes: before it, the most since the ' +
      `process began, and ${CALM_MS / 1_000} s after it. Every event was confirmed once.`,
    columns: ['forwarder', 'compression', 'events', 'events/s', 'RSS before', 'most', 'after'],
    rows: measured.map((m) => [
      m.forwarder,
      m.compression,
      String(m.events),
      `${(m.perSecond / 1_000).toFixed(1)}k`,
      mb(m.before),
      mb(m.most),
      mb(m.after),
    ]),
    goals: [
      ...measured
        .filter(({ forwarder }) => forwarder === 'sharder')
        .map(({ compression, most }) => ({
          text: `${compression}: RSS of ${SHARDS} shards under load is below ${GOAL_MB} MB: ${mb(most)} MB`,
          met: most < GOAL_MB * 1e6,
        })),
      { text: `no rule of Discord was broken: ${violations} violations`, met: violations === 0 },
    ],
    raw: measured,
  }
}
