import { setTimeout as sleep } from 'node:timers/promises'
import type { Wire } from '../children/wire/manager.ts'
import { median } from './report.ts'
import { WireManager, type WireWorkers } from './wire.ts'

const RECONNECTS = 5
/** Identifies at once: max_concurrency of a bot of this size. */
const AT_ONCE = 64
const WARM_UP_CALLS = 20 * AT_ONCE
const CALLS_IN_TURN = 1_000
const CALLS_AT_ONCE = 4_000
const START = { calls: 64, ms: 5_000, slotInMs: 500 }
const SATURATED_MS = 2_000
/** Before something is measured that has just begun. */
const SETTLE_MS = 500

/** What one manager process and the workers behind it used. Times are milliseconds, CPU of all ten workers together. */
export interface WireFigures {
  /** The first connection of a new process: a new leader. */
  readonly snapshotMs: number
  readonly snapshotManagerCpu: number
  readonly snapshotWorkersCpu: number
  readonly snapshotBytes: number
  /** Later ones of the same process. */
  readonly againMs: number
  readonly againManagerCpu: number
  /** Per second of a start at Discord's pace, while every shard gets events. */
  readonly startManagerCpu: number
  readonly startWorkersCpu: number
  readonly startBytes: number
  /** All shards change as often as they are streamed: per 1,000 records. */
  readonly updatesPerSecond: number
  readonly updatesManagerCpu: number
  readonly updatesWorkersCpu: number
  readonly updatesBytes: number
  /** One identify after the other, and 64 at once: per call. */
  readonly idleP50: number
  readonly idleP99: number
  readonly streamingP50: number
  readonly streamingP99: number
  readonly callManagerCpu: number
  readonly callWorkersCpu: number
  /** Memory in bytes: when all shards have been known for a while, and after everything. */
  readonly rss: number
  readonly rssAfter: number
}

/** Everything that crosses, measured with one new manager process. @throws Error when both ends do not agree at last. */
export async function measureWire(wire: Wire, workers: WireWorkers): Promise<WireFigures> {
  const manager = await WireManager.start(wire, workers)
  try {
    const ends = { manager, workers }
    const snapshots = await snapshotsOf(ends)
    const start = await startOf(ends)
    const memory = { rss: manager.memory().rss }
    const calls = await callsOf(ends)
    const updates = await updatesOf(ends)
    await manager.agreesWithWorkers()
    return { ...snapshots, ...start, ...memory, ...calls, ...updates, rssAfter: manager.memory().rss }
  } finally {
    await manager.stop()
  }
}

interface Ends {
  readonly manager: WireManager
  readonly workers: WireWorkers
}

interface Used<T> {
  readonly result: T
  readonly managerCpu: number
  readonly workersCpu: number
  readonly bytes: number
}

async function using<T>({ manager, workers }: Ends, action: () => Promise<T>): Promise<Used<T>> {
  const before = [await workers.cpuMs(), await manager.cpuMs(), manager.bytesRead()] as const
  const result = await action()
  const after = [await workers.cpuMs(), await manager.cpuMs(), manager.bytesRead()] as const
  return { result, workersCpu: after[0] - before[0], managerCpu: after[1] - before[1], bytes: after[2] - before[2] }
}

async function snapshotsOf(ends: Ends) {
  const connect = () => using(ends, () => ends.manager.connect())
  const first = await connect()
  const again: Used<number>[] = []
  for (let i = 0; i < RECONNECTS; i++) {
    await ends.manager.disconnect()
    again.push(await connect())
  }
  return {
    snapshotMs: first.result,
    snapshotManagerCpu: first.managerCpu,
    snapshotWorkersCpu: median(again.map(({ workersCpu }) => workersCpu)),
    snapshotBytes: median(again.map(({ bytes }) => bytes)),
    againMs: median(again.map(({ result }) => result)),
    againManagerCpu: median(again.map(({ managerCpu }) => managerCpu)),
  }
}

async function startOf(ends: Ends) {
  const { manager, workers } = ends
  await workers.act('checkpoints')
  const { calls, ms, slotInMs } = START
  const used = await using(ends, () => manager.startShards(calls, ms, slotInMs))
  await workers.rest()
  const perSecond = 1_000 / ms
  return {
    startManagerCpu: used.managerCpu * perSecond,
    startWorkersCpu: used.workersCpu * perSecond,
    startBytes: used.bytes * perSecond,
  }
}

async function callsOf(ends: Ends) {
  const { manager, workers } = ends
  await manager.identify(WARM_UP_CALLS, AT_ONCE)
  const idle = await manager.identify(CALLS_IN_TURN, 1)
  const atOnce = await using(ends, () => manager.identify(CALLS_AT_ONCE, AT_ONCE))
  await workers.act('checkpoints')
  await sleep(SETTLE_MS)
  const streaming = await manager.identify(CALLS_IN_TURN, 1)
  await workers.rest()
  return {
    idleP50: idle.p50,
    idleP99: idle.p99,
    streamingP50: streaming.p50,
    streamingP99: streaming.p99,
    callManagerCpu: atOnce.managerCpu / CALLS_AT_ONCE,
    callWorkersCpu: atOnce.workersCpu / CALLS_AT_ONCE,
  }
}

async function updatesOf(ends: Ends) {
  const { manager, workers } = ends
  await workers.act('steps')
  await sleep(SETTLE_MS)
  const before = await manager.updates()
  const startedAt = performance.now()
  const used = await using(ends, async () => {
    await sleep(SATURATED_MS)
    return manager.updates()
  })
  const seconds = (performance.now() - startedAt) / 1_000
  await workers.rest()
  const thousands = (used.result - before) / 1_000
  return {
    updatesPerSecond: (thousands * 1_000) / seconds,
    updatesManagerCpu: used.managerCpu / thousands,
    updatesWorkersCpu: used.workersCpu / thousands,
    updatesBytes: used.bytes / thousands,
  }
}
