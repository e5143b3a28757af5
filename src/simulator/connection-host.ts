import type { Clock } from '../support/clock.ts'
import type { Bot } from './bots.ts'
import type { ClientPayload } from './client-payload.ts'
import type { TransportCompression } from './compression.ts'
import type { Faults } from './faults.ts'
import type { SimulatorSettings } from './options.ts'
import type { OwnerWatch } from './owners.ts'
import type { RenderContext } from './payloads.ts'
import type { Session, ShardRecord, ViolationKind } from './rules/index.ts'

/** What the URL of a connection asked for. */
export interface ConnectionQuery {
  readonly version: number
  readonly compression: TransportCompression
  /** The URL this simulator advertises to whoever connects this way. */
  readonly gatewayUrl: string
}

/** What a connection needs from the gateway it belongs to. */
export interface ConnectionHost<C extends object> extends Pick<RenderContext, 'guilds' | 'extras'> {
  readonly settings: SimulatorSettings
  readonly clock: Clock
  /** What is read now came at this time or later. */
  arrivedAfter(): number
  readonly faults: Faults
  readonly bots: { find(token: string): Bot<C> | undefined }
  readonly owners: OwnerWatch
  readonly counts: { received: number; dispatches: number }
  countOp(op: number): void
  countClose(code: number): void
  violation(bot: Bot<C> | undefined, kind: ViolationKind, detail: string, shard?: readonly [number, number]): void
  /** A session began or was resumed: its log gets READY and the guilds, or RESUMED. */
  begin(session: Session<C>): void
  resumed(session: Session<C>): void
  requestMembers(bot: Bot<C>, session: Session<C>, d: Extract<ClientPayload, { readonly op: 8 }>['d']): void
  /** Everything the shard has was sent. */
  drained(shard: ShardRecord<C>): void
  left(connection: C): void
}
