import { CHECKPOINT_MS } from '../src/protocol/limits.ts'
import type { SendResult } from '../src/protocol/send-payload.ts'
import type { Session } from '../src/protocol/session.ts'
import type { SinkRecord } from '../src/protocol/state.ts'
import type { Cancel, Clock } from '../src/support/clock.ts'
import { Outboxes } from './outboxes.ts'
import type { ShardHistory } from './shard/connection-log.ts'
import { ManagedShard } from './shard/managed-shard.ts'
import { type IdentifyOutcome, notIdentified, Permit } from './shard/permit.ts'
import type { ResumeCause } from './shard/resume-cause.ts'
import type { GatewaySettings, ShardEnvironment } from './shard/shard-environment.ts'
import type { SilenceRules } from './shard/silence.ts'
import { SilenceWatch } from './shard/silence-watch.ts'
import { type SessionState, type ShardSummary, sessionRecord } from './shard/summary.ts'
import type { AllSinks } from './sinks/all-sinks.ts'

/** A shard that this thread shall hold. */
export interface Holding {
  readonly shardId: number
  readonly session?: SessionState
  readonly history?: ShardHistory
  /** Why it resumes. */
  readonly cause?: ResumeCause
}

/** A payload, as JSON, to be sent on each of these shards within so many milliseconds. */
export interface GroupSend {
  readonly shardIds: readonly number[]
  readonly text: string
  readonly withinMs: number
}

/** What a thread says when something changed. */
export interface GroupReport {
  readonly shards?: readonly ShardSummary[]
  /** [shard, sequence confirmed, round trip or -1] each: what changes all the time and matters once a second. */
  readonly checkpoint?: Float64Array
  readonly sinks?: readonly SinkRecord[]
}

export interface ShardGroupOptions {
  readonly clock: Clock
  readonly sinks: AllSinks
  readonly report: (report: GroupReport) => void
  readonly silence?: SilenceRules
  /** All of a shard's environment but what the group itself knows. */
  readonly environment: Omit<ShardEnvironment, 'settings' | 'openFeed' | 'changed' | 'clock'>
}

/** How long a release waits for the sinks to confirm, in milliseconds: the manager gives a command 30 s. */
const RELEASE_FLUSH_MS = 15_000

/** The shards of one thread and their sinks. */
export class ShardGroup {
  readonly #options: ShardGroupOptions
  readonly #shards = new Map<number, ManagedShard>()
  readonly #environment: ShardEnvironment
  readonly #changed = new Set<number>()
  readonly #outboxes: Outboxes
  /** What the last checkpoint said of a shard. */
  readonly #reported = new Map<number, { sequence: number; rtt: number }>()
  readonly #silence: SilenceWatch
  #settings: GatewaySettings | undefined
  #paused = false
  #reporting = false
  #sinksReported = ''
  #cancelCheckpoint: Cancel

  constructor(options: ShardGroupOptions) {
    this.#options = options
    const { clock, sinks } = options
    this.#silence = new SilenceWatch(options.silence)
    this.#environment = {
      ...options.environment,
      clock,
      settings: () => this.#settings as GatewaySettings,
      openFeed: (shardId, acknowledged, sessionId) => sinks.open(shardId, acknowledged, sessionId),
      changed: (shardId) => this.#reportSoon(shardId),
    }
    this.#outboxes = new Outboxes(clock, options.environment.timings.sendWindow)
    this.#cancelCheckpoint = this.#checkpointLater()
  }

  /** Holds these shards from now on; those it holds already go on. */
  hold(settings: GatewaySettings, holdings: readonly Holding[]): void {
    this.#settings = settings
    for (const { shardId, session, history, cause } of holdings) {
      const known = this.#shards.get(shardId)
      if (known) {
        known.assignAgain(session)
        continue
      }
      const shard = new ManagedShard(shardId, this.#environment, { session, history, cause })
      this.#shards.set(shardId, shard)
      shard.setPaused(this.#paused)
      this.#reportSoon(shardId)
      shard.start()
    }
  }

  /** `slotAt` on the process' clock; `exact`: IDENTIFY leaves then, else at once. */
  async identify(shardId: number, slotAt: number, exact: boolean, signal: AbortSignal): Promise<IdentifyOutcome> {
    const shard = this.#shards.get(shardId)
    if (!shard) return notIdentified('NOT_ASSIGNED', `Shard ${shardId} is not held by this worker.`)
    return shard.identifyWith(new Permit(slotAt, exact, signal))
  }

  /** Closes these shards and waits, for a while, until the sinks have confirmed. @returns their sessions. */
  async release(
    shardIds: readonly number[],
    outcome?: IdentifyOutcome,
    flushMs = RELEASE_FLUSH_MS,
  ): Promise<Session[]> {
    const shards = shardIds.flatMap((shardId) => this.#shards.get(shardId) ?? [])
    for (const { id } of shards) {
      this.#shards.delete(id)
      this.#reported.delete(id)
      this.#silence.forget(id)
      this.#outboxes.close(id)
    }
    await Promise.all(shards.map((shard) => shard.stop(outcome)))
    if (shards.length > 0) await this.#options.sinks.flush(flushMs)
    const now = this.#options.clock.now()
    return shards.flatMap((shard) => (shard.session ? [sessionRecord(shard.id, shard.session, now)] : []))
  }

  /** Sends one payload on each of these shards. Always resolves, with a result for each. */
  send({ shardIds, text, withinMs }: GroupSend, signal: AbortSignal): Promise<SendResult[]> {
    return Promise.all(
      shardIds.map(async (shardId): Promise<SendResult> => {
        const outcome = await this.#outboxes.send(shardId, this.#shards.get(shardId), { text, withinMs, signal })
        return { shardId, ...outcome }
      }),
    )
  }

  /** Releases everything: the process is going away. */
  drain(flushMs: number): Promise<Session[]> {
    const outcome = notIdentified('DRAINING', 'The worker is going away.')
    return this.release([...this.#shards.keys()], outcome, flushMs)
  }

  /** Called when a sink's state or fullness changed. */
  sinksChanged(): void {
    const { full } = this.#options.sinks
    if (full !== this.#paused) {
      this.#paused = full
      for (const shard of this.#shards.values()) shard.setPaused(full)
    }
    this.#reportSoon()
  }

  /** Stops the timers; shards and sinks are stopped by drain(). */
  close(): void {
    this.#cancelCheckpoint()
  }

  /** Gathers what changes in one turn of the loop. */
  #reportSoon(shardId?: number): void {
    if (shardId !== undefined) this.#changed.add(shardId)
    if (this.#reporting) return
    this.#reporting = true
    setImmediate(() => {
      this.#reporting = false
      // One that was released meanwhile has nothing to say any more.
      const held = [...this.#changed].flatMap((id) => this.#shards.get(id) ?? [])
      this.#changed.clear()
      this.#options.report({ shards: held.map((each) => each.summary()), ...this.#sinkReport() })
    })
  }

  #checkpointLater(): Cancel {
    return this.#options.clock.after(CHECKPOINT_MS, () => {
      this.#checkHealth()
      this.#checkpoint()
      this.#cancelCheckpoint = this.#checkpointLater()
    })
  }

  /** Leaves connections that are dead without having closed; their shards resume. */
  #checkHealth(): void {
    for (const shard of this.#shards.values()) shard.checkHeart(CHECKPOINT_MS)
    const silent = this.#silence.look(this.#shards, this.#options.clock.now())
    if (silent > 0) this.#environment.counts.silenced(silent)
  }

  #checkpoint(): void {
    const rows: number[] = []
    for (const shard of this.#shards.values()) {
      const last = this.#reported.get(shard.id)
      const sequence = shard.acknowledged
      const rtt = shard.heart.rtt ?? -1
      if (last?.sequence === sequence && last.rtt === rtt) continue
      this.#reported.set(shard.id, { sequence, rtt })
      rows.push(shard.id, sequence, rtt)
    }
    const sinks = this.#sinkReport()
    if (rows.length > 0 || sinks.sinks) this.#options.report({ checkpoint: Float64Array.from(rows), ...sinks })
  }

  /** The sinks, when they are in another state than was reported, or hold more or less. */
  #sinkReport(): { readonly sinks?: readonly SinkRecord[] } {
    const sinks = this.#options.sinks.records()
    const text = JSON.stringify(sinks)
    if (text === this.#sinksReported) return {}
    this.#sinksReported = text
    return { sinks }
  }
}
