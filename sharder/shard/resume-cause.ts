import type { FaultReason } from './gateway-fault.ts'

/** Why a shard resumes. */
export type ResumeCause =
  /** A killed process left its session in this pod. */
  | 'restart'
  /** Its thread was replaced. */
  | 'thread'
  /** It was assigned with its session: it moved here, or its pod was replaced. */
  | 'handover'
  /** Discord asked to reconnect. */
  | 'op7'
  /** Discord said that the session is invalid and may be resumed. */
  | 'op9'
  /** Discord closed with a code. */
  | 'close'
  /** The connection broke without one. */
  | 'lost'
  /** Nothing answered, or was heard, for as long as two heartbeats. */
  | 'zombie'
  /** No event came for much longer than is usual for this shard. */
  | 'silence'
  /** What was read could not be used. */
  | 'fault'
  /** This side gave the connection up for another reason. */
  | 'other'

/** Why this side leaves a connection that looks alive. */
export type Leaving = Extract<ResumeCause, 'zombie' | 'silence'>

/** How a connection ended, as far as the cause of the next resume asks. */
export interface CauseOf {
  readonly code: number
  readonly byUs: boolean
  readonly reconnectAsked: boolean
  readonly invalidResumable: boolean | undefined
  /** What was wrong with what was read. */
  readonly fault?: FaultReason | undefined
}

/** Why a shard resumes after a live connection that ended; `leaving`: this side had left it. */
export function resumeCause(ended: CauseOf, leaving: Leaving | undefined): ResumeCause {
  if (ended.reconnectAsked) return 'op7'
  if (ended.invalidResumable !== undefined) return 'op9'
  if (ended.fault !== undefined) return 'fault'
  if (ended.byUs) return leaving ?? 'other'
  return ended.code === 1005 || ended.code === 1006 ? 'lost' : 'close'
}
