import { setTimeout as sleep } from 'node:timers/promises'
import type { Wire } from '../children/wire/manager.ts'
import type { Child } from '../harness/child.ts'
import { median, type Part } from '../harness/report.ts'
import { memoryOf } from '../harness/usage.ts'
import { startWorkers, WireEnds } from '../harness/wire.ts'

const WORKERS = 10
const SHARDS = 500
const ROUNDS = 3
/** What a bot of this size with max_concurrency 64 is told to identify in a window. */
const START = { calls: 64, ms: 5_000, slotInMs: 500 }
const CALLS_IN_TURN = 1_000
const CALLS_AT_ONCE = { calls: 4_000, atOnce: 64 }
const SATURATED_MS = 2_000
/** Before something is measured that has just begun. */
const SETTLE_MS = 500

const WIRES: Readonly<Record<Wire, string>> = {
  http: 'HTTP',
  'grpc-checked': 'gRPC',
  grpc: 'gRPC, unchecked',
}

/** What is measured, its row in the table, and how many digits it has there. */
const FIGURES = {
  snapshotMs: ['a new manager knows all shards: ms', 0],
  snapshotManagerCpu: ['- manager CPU ms', 0],
  snapshotWorkersCpu: ['- workers CPU ms', 0],
  snapshotBytes: ['- KB', 0, 1e-3],
  startManagerCpu: ['64 identifies in 5 s, all shards get events: manager CPU ms/s', 1],
  startWorkersCpu: ['- workers CPU ms/s', 1],
  startBytes: ['- KB/s', 0, 1e-3],
  p50: ['- an identify, answered at once: p50 ms', 2],
  p99: ['- p99 ms', 2],
  callManagerCpu: ['64 identifies at once: manager CPU µs each', 0, 1e3],
  callWorkersCpu: ['- workers CPU µs each', 0, 1e3],
  updateManagerCpu: ['all shards change all the time: manager CPU µs a record', 1, 1e3],
  updateWorkersCpu: ['- workers CPU µs a record', 1, 1e3],
  updateBytes: ['- bytes a record', 0],
  managerRss: ['manager RSS MB, after the start', 1, 1e-6],
  workerRss: ['worker RSS MB, after the start', 1, 1e-6],
} as const satisfies Record<string, readonly [text: string, digits: number, factor?: number]>

type Figures = Readonly<Record<keyof typeof FIGURES, number>>
type Run = Figures & { readonly round: number; readonly wire: Wire }

/** Whether gRPC would carry what crosses between manager and workers better than the HTTP that does. */
export async function wire(say: (line: string) => void): Promise<Part> {
  await using ending = new AsyncDisposableStack()
  const http = await startWorkers(ending, false, WORKERS, SHARDS)
  const grpc = await startWorkers(ending, true, WORKERS, SHARDS)
  const wires = Object.keys(WIRES) as Wire[]
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const wire of round % 2 === 0 ? wires : wires.toReversed()) {
      const run = { round, wire, ...(await measure(wire, wire === 'http' ? http : grpc)) }
      runs.push(run)
      say(`wire: ${WIRES[wire]}: ${run.startManagerCpu.toFixed(1)} ms of the manager's CPU for a second of a start`)
    }
  }
  return report(wires, runs)
}

/** With a new manager process: a new leader. @throws Error when both ends do not agree at last. */
async function measure(wire: Wire, workers: readonly Child[]): Promise<Figures> {
  await using ending = new AsyncDisposableStack()
  const ends = await WireEnds.start(ending, wire, workers, SHARDS)
  const start = { ...(await snapshot(ends)), ...(await startOf(ends)), ...memory(ends) }
  const figures = { ...start, ...(await callsAtOnce(ends)), ...(await updates(ends)) }
  await ends.agree()
  return figures
}

async function snapshot(ends: WireEnds) {
  const used = await ends.using(() => ends.manager.ask<number>('connect'))
  return {
    snapshotMs: used.result,
    snapshotManagerCpu: used.managerCpu,
    snapshotWorkersCpu: used.workersCpu,
    snapshotBytes: used.bytes,
  }
}

async function startOf(ends: WireEnds) {
  await ends.each('act', 'checkpoints')
  const startedAt = performance.now()
  const used = await ends.using(() => ends.manager.ask('start', START))
  const seconds = (performance.now() - startedAt) / 1_000
  const taken = await ends.manager.ask<number[]>('identify', { calls: CALLS_IN_TURN, atOnce: 1 })
  await ends.each('rest')
  taken.sort((a, b) => a - b)
  const at = (share: number) => taken[Math.floor(share * (taken.length - 1))] ?? Number.NaN
  return {
    startManagerCpu: used.managerCpu / seconds,
    startWorkersCpu: used.workersCpu / seconds,
    startBytes: used.bytes / seconds,
    p50: at(0.5),
    p99: at(0.99),
  }
}

function memory({ manager, workers }: WireEnds) {
  const rss = workers.map(({ pid }) => memoryOf(pid).rss)
  return { managerRss: memoryOf(manager.pid).rss, workerRss: median(rss) }
}

async function callsAtOnce(ends: WireEnds) {
  const { calls } = CALLS_AT_ONCE
  const used = await ends.using(() => ends.manager.ask('identify', CALLS_AT_ONCE))
  return { callManagerCpu: used.managerCpu / calls, callWorkersCpu: used.workersCpu / calls }
}

async function updates(ends: WireEnds) {
  await ends.each('act', 'steps')
  await sleep(SETTLE_MS)
  const before = await ends.manager.ask<number>('updates')
  const used = await ends.using(() => sleep(SATURATED_MS))
  const records = (await ends.manager.ask<number>('updates')) - before
  await ends.each('rest')
  return {
    updateManagerCpu: used.managerCpu / records,
    updateWorkersCpu: used.workersCpu / records,
    updateBytes: used.bytes / records,
  }
}

function report(wires: readonly Wire[], runs: readonly Run[]): Part {
  const of = (wire: Wire, name: keyof Figures) => median(runs.filter((run) => run.wire === wire).map((r) => r[name]))
  const rows = Object.entries(FIGURES).map(([name, [text, digits, factor = 1]]) => [
    text,
    ...wires.map((wire) => (of(wire, name as keyof Figures) * factor).toFixed(digits)),
  ])
  /** HTTP is kept as long as it is not beaten by a wire that checks as much. */
  const goal = (what: string, ...names: (keyof Figures)[]) => {
    const [http = 0, grpc = 0] = (['http', 'grpc-checked'] as const).map((wire) =>
      names.reduce((sum, name) => sum + of(wire, name), 0),
    )
    return { text: `HTTP, not gRPC: ${what}: ${(http / grpc).toFixed(2)} of gRPC's`, met: http <= grpc }
  }
  return {
    name: 'wire',
    about: about(),
    columns: ['', ...Object.values(WIRES)],
    rows,
    goals: [
      goal('CPU of manager and workers for a start', 'startManagerCpu', 'startWorkersCpu'),
      goal('time of an identify (p50)', 'p50'),
      goal("a worker's RSS", 'workerRss'),
    ],
    raw: runs,
  }
}

const about = () =>
  `${(WORKERS * SHARDS).toLocaleString('en')} shards on ${WORKERS} workers, each a process with the real board and the real ` +
  'server, or one of gRPC (@grpc/grpc-js) that streams the same; the manager is the real client and the real views, or ' +
  'gRPC with the same checks of what arrives, or without. "All shards get events": each streams its sequence and round ' +
  `trip once a second. Order alternating, a new manager process each time, medians of ${ROUNDS} rounds.`
