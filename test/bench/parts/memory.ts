import { setTimeout as sleep } from 'node:timers/promises'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import type { Part } from '../harness/report.ts'
import { startSharder } from '../harness/sharder.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { SinkProcess } from '../harness/sink.ts'
import { type MemoryUse, mappedFilesOf, memoryOf } from '../harness/usage.ts'

const SHARDS = 500
const SETTLE_MS = 30_000
const GOAL_MB = 160

interface Case {
  readonly compression: 'None' | 'ZlibStream'
  /** Each shard gets READY and as many GUILD_CREATEs, of 2 KB each: a large bot's start is a burst of 1,000. */
  readonly guilds: number
}
/** The first is the goal's. */
const CASES: readonly Case[] = [
  { compression: 'None', guilds: 2 },
  { compression: 'ZlibStream', guilds: 2 },
  { compression: 'None', guilds: 1_000 },
]

interface Measurement extends MemoryUse, Case {
  readonly mappedFiles: number
  readonly events: number
  readonly violations: number
}

/** Resident memory of one sharder that holds as many idle shards as a pod holds by default. */
export async function memory(say: (line: string) => void): Promise<Part> {
  const measured: Measurement[] = []
  for (const each of CASES) {
    say(`memory: ${SHARDS} shards of ${each.guilds} guilds, ${each.compression}`)
    measured.push(await measureOne(each))
  }
  const [plain] = measured
  return {
    name: 'memory',
    about:
      `One sharder process with ${SHARDS} shards over TLS; each got READY and its GUILD_CREATEs of 2 KB, then ` +
      `all were idle for ${SETTLE_MS / 1000} s. RSS counts the Node binary in full, PSS its share of it; MB are 10^6 bytes.`,
    columns: [
      'compression',
      'guilds/shard',
      'RSS MB',
      'of it files',
      'PSS MB',
      'own MB',
      'RSS KB/shard',
      'events delivered',
    ],
    rows: measured.map((m) => [
      m.compression,
      String(m.guilds),
      ...[m.rss, m.mappedFiles, m.pss, m.own].map((bytes) => (bytes / 1e6).toFixed(1)),
      (m.rss / 1e3 / SHARDS).toFixed(0),
      String(m.events),
    ]),
    goals: [
      {
        text: `RSS of ${SHARDS} idle shards over TLS without compression is below ${GOAL_MB} MB: ${((plain?.rss ?? Number.NaN) / 1e6).toFixed(1)} MB`,
        met: (plain?.rss ?? Number.POSITIVE_INFINITY) < GOAL_MB * 1e6,
      },
      {
        text: `every event was delivered and no rule of Discord was broken`,
        met: measured.every(({ events, guilds, violations }) => events === SHARDS * (guilds + 1) && violations === 0),
      },
    ],
    raw: measured,
  }
}

async function measureOne({ compression, guilds }: Case): Promise<Measurement> {
  await using ending = new AsyncDisposableStack()
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const simulator = ending.adopt(
    await SimulatorProcess.start({
      bots: [{ token, maxConcurrency: SHARDS }],
      tls: { key: TEST_KEY, cert: TEST_CERTIFICATE },
      guildsPerShard: guilds,
    }),
    (s) => s.stop(),
  )
  const sink = ending.adopt(await SinkProcess.start(), (s) => s.stop())
  const gateway = { url: simulator.gatewayUrl, version: 10, intents: 1, compression }
  const options = { directory, token, sink: { name: 'bench', http: { url: sink.url } }, shards: SHARDS, gateway }
  const sharder = ending.adopt(await startSharder({ ...options, certificateAuthority: TEST_CERTIFICATE }), (s) =>
    s.stop(),
  )
  const { events } = await sink.settled()
  await sleep(SETTLE_MS)
  return {
    compression,
    guilds,
    ...memoryOf(sharder.pid),
    mappedFiles: mappedFilesOf(sharder.pid),
    events,
    violations: violationsOf(await simulator.stats()),
  }
}
