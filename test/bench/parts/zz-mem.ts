import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import { startSharder } from '../harness/sharder.ts'
import { SimulatorProcess } from '../harness/simulator.ts'
import { SinkProcess } from '../harness/sink.ts'
import { memoryOf } from '../harness/usage.ts'
const SHARDS = Number(process.argv[2]), guilds = Number(process.argv[3]), tls = process.argv[4] !== 'plain'
const token = fakeToken(), directory = new RunDirectory()
const simulator = await SimulatorProcess.start({ bots: [{ token, maxConcurrency: 5000 }], ...(tls && {tls: { key: TEST_KEY, cert: TEST_CERTIFICATE }}), guildsPerShard: guilds })
const sink = await SinkProcess.start()
const sharder = await startSharder({ directory, token, sinkUrl: sink.url, shards: SHARDS, gateway: { url: simulator.gatewayUrl, version: 10, intents: 1, compression: 'None' }, certificateAuthority: TEST_CERTIFICATE })
await sink.settled(); await sleep(20000)
const cats: Record<string, number> = {}
const big: [number, string][] = []
let cur = '', head = ''
for (const line of readFileSync(`/proc/${sharder.pid}/smaps`, 'utf8').split('\n')) {
  const m = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)$/.exec(line)
  if (m) { const size = parseInt(m[2]!, 16) - parseInt(m[1]!, 16); head = line; cur = m[3] ? (m[3].includes('/') ? 'file' : m[3]) : size > 60e6 && size < 70e6 ? 'anon~64M(arena)' : 'anon' ; continue }
  const r = /^Rss:\s+(\d+)/.exec(line); if (r) { cats[cur] = (cats[cur] ?? 0) + Number(r[1]) / 1e3; if (Number(r[1]) > 3000) big.push([Number(r[1]) / 1e3, head]) }
}
console.log(process.env["DIAG"], SHARDS, guilds, memoryOf(sharder.pid).rss / 1e6)

await sharder.stop(); await sink.stop(); await simulator.stop(); directory.remove()
