import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { SinkRecord } from '../src/protocol/state.ts'
import { head, headType } from './shard/payload-head.ts'
import type { ShardCounts } from './shard/shard-environment.ts'
import type { SinkCounts } from './sinks/buffered-sink.ts'

/** Names beyond this many are counted together: nobody but Discord should be able to make metrics. */
const MOST_EVENT_TYPES = 200

/** Counts events by type without making a string for each. */
export class EventTypes {
  readonly #counts = new Map<number, { readonly type: string; count: number }>()
  readonly #others = { type: 'OTHER', count: 0 }

  /** Counts the event whose head was read last, from `bytes`. */
  count(bytes: Buffer): void {
    const entry = this.#counts.get(head.type) ?? this.#first(bytes)
    entry.count++
  }

  entries(): { readonly type: string; readonly count: number }[] {
    const all = [...this.#counts.values()]
    return this.#others.count > 0 ? [...all, this.#others] : all
  }

  #first(bytes: Buffer): { readonly type: string; count: number } {
    if (this.#counts.size >= MOST_EVENT_TYPES) return this.#others
    const entry = { type: headType(bytes), count: 0 }
    this.#counts.set(head.type, entry)
    return entry
  }
}

/** What a thread counts. */
export interface ThreadMetrics {
  readonly shards: ShardCounts
  readonly events: EventTypes
  sink(name: string): SinkCounts
}

const SINK_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30]
const PREFIX = 'shardcluster_worker_'

/** Registers a thread's metrics; `sinks` is asked when they are scraped. */
export function threadMetrics(registry: Registry, sinks: () => readonly SinkRecord[]): ThreadMetrics {
  const registers = [registry]
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: `${PREFIX}${name}`, help, labelNames, registers })
  const identifies = counter('identifies_total', 'Permits by what became of them.', ['result'])
  const resumes = counter('resumes_total', 'Attempts to resume by why and by what became of them.', ['cause', 'result'])
  const replayed = counter('events_replayed_total', 'Events that Discord sent between RESUME and RESUMED.', [])
  const gap = new Histogram({
    name: `${PREFIX}resume_gap_seconds`,
    help: 'Time from the end of a connection to the RESUMED that followed, in another process perhaps.',
    labelNames: ['cause'],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 90],
    registers,
  })
  const silences = counter('silence_kicks_total', 'Connections closed because their shard had no events any more.', [])
  const closes = counter('gateway_closes_total', 'Gateway connections that ended, by close code.', ['code'])
  const faults = counter('gateway_faults_total', 'What the gateway sent and could not be used, by why.', ['reason'])
  const requests = counter('sink_requests_total', 'Attempts to hand a batch to a sink by result.', ['sink', 'result'])
  const delivered = counter('sink_events_total', 'Events that a sink confirmed.', ['sink'])
  const rtt = new Histogram({
    name: `${PREFIX}heartbeat_round_trip_seconds`,
    help: 'Time from a heartbeat to its answer.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  })
  const latency = new Histogram({
    name: `${PREFIX}sink_request_seconds`,
    help: 'Time from sending a batch to its answer.',
    labelNames: ['sink'],
    buckets: SINK_BUCKETS,
    registers,
  })
  const delivery = new Histogram({
    name: `${PREFIX}sink_delivery_seconds`,
    help: 'Time from reading an event to its confirmation, of the oldest of each batch.',
    labelNames: ['sink'],
    buckets: SINK_BUCKETS,
    registers,
  })
  const events = new EventTypes()
  new Counter({
    name: `${PREFIX}events_total`,
    help: 'Events read from the gateway, by type.',
    labelNames: ['type'],
    registers,
    collect() {
      this.reset()
      for (const { type, count } of events.entries()) this.inc({ type }, count)
    },
  })
  new Gauge({
    name: `${PREFIX}sink_pending_events`,
    help: 'Events read and not yet confirmed by a sink.',
    labelNames: ['sink'],
    registers,
    collect() {
      for (const { name, pending } of sinks()) this.set({ sink: name }, pending)
    },
  })
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  new Gauge({
    name: `${PREFIX}thread_event_loop_delay_seconds`,
    help: 'Longest delay of a shard thread since the last scrape; a heartbeat interval of it loses every connection.',
    registers,
    aggregator: 'max',
    collect() {
      this.set(delay.max / 1e9)
      delay.reset()
    },
  })
  return {
    events,
    shards: {
      event: (bytes) => events.count(bytes),
      identify: (result) => identifies.inc({ result }),
      resumed(cause, events, gapMs) {
        resumes.inc({ cause, result: 'RESUMED' })
        replayed.inc(events)
        if (gapMs !== undefined) gap.observe({ cause }, gapMs / 1_000)
      },
      notResumed: (cause, result) => resumes.inc({ cause, result }),
      silenced: (shards) => silences.inc(shards),
      fault: (reason) => faults.inc({ reason }),
      closed: (code) => closes.inc({ code: String(code) }),
      roundTrip: (milliseconds) => rtt.observe(milliseconds / 1_000),
    },
    sink: (sink) => ({
      request(result, milliseconds) {
        requests.inc({ sink, result })
        latency.observe({ sink }, milliseconds / 1_000)
      },
      delivered(events, milliseconds) {
        delivered.inc({ sink }, events)
        delivery.observe({ sink }, milliseconds / 1_000)
      },
    }),
  }
}
