import type { Session } from '../../src/protocol/session.ts'
import type { SessionEnd, ShardRecord, ShardStateName } from '../../src/protocol/state.ts'

/** A session as threads and the main thread pass it on: with a moment on the process' clock instead of an age. */
export interface SessionState {
  readonly sessionId: string
  readonly resumeGatewayUrl: string
  /** The last one that the sinks confirmed. */
  readonly sequence: number
  readonly totalShards: number
  /** When its connection was last up; undefined: it is up now. Milliseconds on the process' clock. */
  readonly lastContactAt?: number
}

/** A shard as its thread tells the main thread. Moments are milliseconds on the process' clock. */
export interface ShardSummary {
  readonly shardId: number
  readonly state: ShardStateName
  readonly identifiedAt?: number
  readonly identifies: number
  readonly resumes: number
  readonly recovering: boolean
  readonly closeCode?: number
  readonly reason?: string
  readonly rttMs?: number
  readonly session?: SessionState
  readonly ended?: SessionEnd
}

/** A session as it goes over the wire, written at `now`. */
export function sessionRecord(shardId: number, session: SessionState, now: number): Session {
  const { lastContactAt, ...rest } = session
  return { shardId, ...rest, lastContactMsAgo: lastContactAt === undefined ? 0 : Math.max(0, now - lastContactAt) }
}

/** A shard as it goes over the wire, written at `now`. */
export function shardRecord(summary: ShardSummary, now: number): ShardRecord {
  const { identifiedAt, session, ...rest } = summary
  return {
    ...rest,
    ...(identifiedAt !== undefined && { identifiedMsAgo: Math.max(0, now - identifiedAt) }),
    ...(session !== undefined && { session: sessionRecord(summary.shardId, session, now) }),
  }
}

/** A session from the wire, read at `now`. */
export function sessionState({ shardId: _, lastContactMsAgo, ...rest }: Session, now: number): SessionState {
  return { ...rest, lastContactAt: now - lastContactMsAgo }
}

/** Of a shard that is given to this worker, with the session there is for it. */
export function newSummary(shardId: number, session: ShardSummary['session']): ShardSummary {
  const state = session ? 'Resuming' : 'Unidentified'
  return { shardId, state, identifies: 0, resumes: 0, recovering: false, ...(session && { session }) }
}
