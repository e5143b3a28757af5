import type { GatewayOptions } from '../../src/protocol/commands.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { Feed } from '../sinks/sink.ts'
import type { ConnectGate } from './connect-gate.ts'
import type { FaultReason } from './gateway-fault.ts'
import type { ResumeCause } from './resume-cause.ts'
import type { ResumePace } from './resume-pace.ts'
import type { ShardTimings } from './timings.ts'

/** How shards connect from now on. */
export interface GatewaySettings {
  readonly totalShards: number
  readonly gateway: GatewayOptions
}

/** What happened to shards, for counting. */
export interface ShardCounts {
  /** A dispatch; the payload head is still in `head`, its bytes in `bytes`. */
  event(bytes: Buffer): void
  identify(result: string): void
  /** RESUMED came, after `replayed` events. `gapMs`: since the connection before it ended, if that is known. */
  resumed(cause: ResumeCause, replayed: number, gapMs: number | undefined): void
  notResumed(cause: ResumeCause, result: 'CLOSED' | 'INVALID_SESSION' | 'EXPIRED'): void
  closed(code: number): void
  /** The gateway sent something that could not be used. */
  fault(reason: FaultReason): void
  /** So many shards were left because no events came. */
  silenced(shards: number): void
  roundTrip(milliseconds: number): void
}

/** What the shards of one thread share. */
export interface ShardEnvironment {
  readonly clock: Clock
  readonly random: () => number
  readonly timings: ShardTimings
  readonly logger: Logger
  readonly gate: ConnectGate
  readonly pace: ResumePace
  readonly counts: ShardCounts
  settings(): GatewaySettings
  /** Hosts that a connection may be opened to, whoever names them: see `spec.gateway.hosts`. */
  readonly gatewayHosts: readonly string[]
  /** The bot token as it is now, without `Bot `. */
  token(): Promise<string>
  openFeed(shardId: number, acknowledged: number, sessionId: string): Feed
  /** The shard's summary is another now. */
  changed(shardId: number): void
}
