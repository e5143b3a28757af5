import { setTimeout as sleep } from 'node:timers/promises'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { intentMask } from '../../../src/simulator/rules/intents.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import type { Compression } from '../harness/forwarders.ts'
import type { Part } from '../harness/report.ts'
import { startSharder } from '../harness/sharder.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { SinkProcess } from '../harness/sink.ts'
import { until } from '../harness/until.ts'
import { memoryOf } from '../harness/usage.ts'

const SHARDS = 500
/** Saturated: so many events to each shard, as fast as they are taken. */
const BURST_PER_SHARD: Readonly<Record<Compression, number>> = { None: 1_500, ZlibStream: 600 }
const BURST_TIMEOUT_MS = 120_000
/** Memory is looked at after so long without an event. */
const CALM_MS = 10_000
const GOAL_MB = 300
const COMPRESSIONS: readonly Compression[] = ['None', 'ZlibStream']

interface Measurement {
  readonly compression: Compression
  readonly events: number
  readonly eventsPerSecond: number
  /** RSS in bytes. */
  readonly before: number
  readonly most: number
  readonly after: number
  readonly complete: boolean
  readonly violations: number
}

/** Resident memory of one sharder with as many shards as a pod holds by default, while they have as many events as it can take. */
export async function load(say: (line: string) => void): Promise<Part> {
  const measured: Measurement[] = []
  for (const compression of COMPRESSIONS) {
    say(`load: ${SHARDS} shards, ${compression}`)
    measured.push(await measureOne(compression))
  }
  const mb = (bytes: number) => (bytes / 1e6).toFixed(1)
  return {
    name: 'load',
    about:
      `One sharder process, one thread, ${SHARDS} shards over TLS, an http sink; each shard has a burst of MESSAGE_CREATE ` +
      `of 1.2 KB, so that the process is saturated. RSS in MB of 10^6 bytes: before, the most while it lasts, and ` +
      `${CALM_MS / 1_000} s after it.`,
    columns: ['compression', 'events', 'events/s', 'RSS before', 'under load', 'after'],
    rows: measured.map((m) => [
      m.compression,
      String(m.events),
      `${(m.eventsPerSecond / 1_000).toFixed(1)}k`,
      mb(m.before),
      mb(m.most),
      mb(m.after),
    ]),
    goals: [
      ...measured.map(({ compression, most }) => ({
        text: `${compression}: RSS of ${SHARDS} shards under load is below ${GOAL_MB} MB: ${mb(most)} MB`,
        met: most < GOAL_MB * 1e6,
      })),
      {
        text: 'every event was delivered once and no rule of Discord was broken',
        met: measured.every(({ complete, violations }) => complete && violations === 0),
      },
    ],
    raw: measured,
  }
}

async function measureOne(compression: Compression): Promise<Measurement> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const tls = { key: TEST_KEY, cert: TEST_CERTIFICATE }
  const simulator = ending.adopt(
    await SimulatorProcess.start({ bots: [{ token, maxConcurrency: SHARDS }], tls }),
    (s) => s.stop(),
  )
  const sink = ending.adopt(await SinkProcess.start(), (s) => s.stop())
  const intents = intentMask('Guilds') | intentMask('GuildMessages')
  const sharder = ending.adopt(
    await startSharder({
      directory,
      token,
      sink: { name: 'bench', http: { url: sink.url } },
      shards: SHARDS,
      gateway: { url: simulator.gatewayUrl, version: 10, intents, compression },
      certificateAuthority: TEST_CERTIFICATE,
    }),
    (s) => s.stop(),
  )
  const rss = () => memoryOf(sharder.pid).rss
  const start = (await sink.settled()).events
  const before = rss()
  let most = before
  const events = BURST_PER_SHARD[compression] * SHARDS
  const startedAt = performance.now()
  await simulator.control('burst', { count: BURST_PER_SHARD[compression] })
  await until('every event of the burst', BURST_TIMEOUT_MS, async () => {
    most = Math.max(most, rss())
    return (await sink.counts()).events >= start + events
  })
  const seconds = (performance.now() - startedAt) / 1_000
  await sleep(CALM_MS)
  return {
    compression,
    events,
    eventsPerSecond: events / seconds,
    before,
    most,
    after: rss(),
    complete: (await sink.counts()).events === start + events,
    violations: violationsOf(await simulator.stats()),
  }
}
