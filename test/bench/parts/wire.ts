import type { Wire } from '../children/wire/manager.ts'
import { median, type Part } from '../harness/report.ts'
import { loadCost, WireWorkers } from '../harness/wire.ts'
import { measureWire, type WireFigures } from '../harness/wire-run.ts'

const WORKERS = 10
const SHARDS = 500
const ROUNDS = 3
const LOADS = 5

const WIRES: readonly { readonly wire: Wire; readonly name: string }[] = [
  { wire: 'http', name: 'HTTP' },
  { wire: 'grpc', name: 'gRPC' },
  { wire: 'grpc-checked', name: 'gRPC, checked' },
]

interface Row {
  readonly text: string
  readonly of: (figures: WireFigures) => number
  readonly digits: number
}

const ROWS: readonly Row[] = [
  { text: 'first snapshot: ms', of: (f) => f.snapshotMs, digits: 0 },
  { text: 'first snapshot: manager CPU ms', of: (f) => f.snapshotManagerCpu, digits: 0 },
  { text: 'later snapshots: ms', of: (f) => f.againMs, digits: 0 },
  { text: 'later snapshots: manager CPU ms', of: (f) => f.againManagerCpu, digits: 0 },
  { text: 'later snapshots: workers CPU ms', of: (f) => f.snapshotWorkersCpu, digits: 0 },
  { text: 'snapshot: KB', of: (f) => f.snapshotBytes / 1e3, digits: 0 },
  { text: 'start, a second: manager CPU ms', of: (f) => f.startManagerCpu, digits: 1 },
  { text: 'start, a second: workers CPU ms', of: (f) => f.startWorkersCpu, digits: 1 },
  { text: 'start, a second: KB', of: (f) => f.startBytes / 1e3, digits: 0 },
  { text: 'saturated: updates/s', of: (f) => f.updatesPerSecond, digits: 0 },
  { text: 'saturated, 1,000 updates: manager CPU ms', of: (f) => f.updatesManagerCpu, digits: 2 },
  { text: 'saturated, 1,000 updates: workers CPU ms', of: (f) => f.updatesWorkersCpu, digits: 2 },
  { text: 'saturated, 1,000 updates: KB', of: (f) => f.updatesBytes / 1e3, digits: 0 },
  { text: 'identify, idle: p50 ms', of: (f) => f.idleP50, digits: 2 },
  { text: 'identify, idle: p99 ms', of: (f) => f.idleP99, digits: 2 },
  { text: 'identify, streams run: p50 ms', of: (f) => f.streamingP50, digits: 2 },
  { text: 'identify, streams run: p99 ms', of: (f) => f.streamingP99, digits: 2 },
  { text: 'identify: calls a manager CPU second', of: (f) => 1_000 / f.callManagerCpu, digits: 0 },
  { text: 'identify: calls a worker CPU second', of: (f) => 1_000 / f.callWorkersCpu, digits: 0 },
  { text: 'manager with ten streams: RSS MB', of: (f) => f.rss / 1e6, digits: 1 },
  { text: 'manager after saturation: RSS MB', of: (f) => f.rssAfter / 1e6, digits: 1 },
]

interface Run extends WireFigures {
  readonly round: number
  readonly wire: Wire
}

export async function wire(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const http = await WireWorkers.start(ending, 'http', WORKERS, SHARDS)
  const grpc = await WireWorkers.start(ending, 'grpc', WORKERS, SHARDS)
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const { wire, name } of round % 2 === 0 ? WIRES : WIRES.toReversed()) {
      const run = { round, wire, ...(await measureWire(wire, wire === 'http' ? http : grpc)) }
      runs.push(run)
      say(`wire: ${name}: ${run.updatesManagerCpu.toFixed(2)} ms of the manager's CPU for 1,000 updates`)
    }
  }
  console.error(WIRES.map(w=>w.name))
  for (const row of ROWS) console.error(row.text.padEnd(42), WIRES.map(w => median(runs.filter(r => r.wire === w.wire).map(row.of)).toFixed(row.digits).padStart(10)).join(''), runs.map(r=>r.wire+row.of(r).toFixed(2)).join(' '))
  for (let i=0;i<LOADS;i++) for (const m of ['../../../src/manager/http-worker.ts','../peers/grpc/client.ts','../../../sharder/server.ts','../peers/grpc/server.ts']) console.error(m, await loadCost(new URL(m, import.meta.url)))
  return { name: 'wire', about: '', columns: [], rows: [], goals: [], raw: runs }
}
