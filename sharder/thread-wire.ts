import type { MetricObject } from 'prom-client'
import type { SendResult } from '../src/protocol/send-payload.ts'
import type { Session } from '../src/protocol/session.ts'
import type { WorkerSettings } from '../src/protocol/worker-settings.ts'
import type { IdentifyOutcome } from './shard/permit.ts'
import type { GatewaySettings } from './shard/shard-environment.ts'
import type { GroupReport, GroupSend, Holding } from './shard-group.ts'

/** What the main thread asks of a thread, and what it is answered. Events never cross between threads. */
export interface ThreadCalls {
  HOLD: {
    readonly ask: { readonly settings: GatewaySettings; readonly holdings: readonly Holding[] }
    readonly answer: null
  }
  /** `slotAt` on the process' clock. */
  IDENTIFY: {
    readonly ask: { readonly shardId: number; readonly slotAt: number; readonly exact: boolean }
    readonly answer: IdentifyOutcome
  }
  RELEASE: { readonly ask: { readonly shardIds: readonly number[] }; readonly answer: readonly Session[] }
  SEND: { readonly ask: GroupSend; readonly answer: readonly SendResult[] }
  DRAIN: { readonly ask: { readonly flushMs: number }; readonly answer: readonly Session[] }
  PING: { readonly ask: Record<never, never>; readonly answer: null }
  METRICS: { readonly ask: Record<never, never>; readonly answer: readonly MetricObject[] }
}

export type ThreadCall = { [K in keyof ThreadCalls]: { readonly type: K } & ThreadCalls[K]['ask'] }[keyof ThreadCalls]

/** Main thread to thread. */
export type ToThread = { readonly id: number; readonly call: ThreadCall } | { readonly cancel: number }

/** Thread to main thread. */
export type FromThread =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly report: GroupReport }

/** `workerData` of a thread. */
export interface ThreadData {
  readonly settings: WorkerSettings
  readonly index: number
}
