import type { Candidate, Grant } from '../domain/identify-schedule.ts'

/** What became of a grant. */
export interface IdentifyOutcome {
  /** When IDENTIFY was sent, on the injected clock; undefined: certainly not; 'unknown': perhaps, up to now. */
  readonly sentAt: number | undefined | 'unknown'
  /** READY came so many milliseconds after it was sent. */
  readonly answeredInMs?: number
  /** Op 9: Discord found it too early. */
  readonly tooEarly: boolean
}

/** One ShardCluster, as the lane sees it. */
export interface IdentifySource {
  /** Unique among the ShardClusters of this process: `namespace/name`. */
  readonly cluster: string
  readonly windowMilliseconds: number
  candidates(): Iterable<Candidate>
  /** Lets the shard identify exactly at `grant.slotAt`, until `signal` takes the permit back. Never rejects. */
  start(grant: Grant, signal?: AbortSignal): Promise<IdentifyOutcome>
  /** The session info, or why there is none, changed. */
  onSessionInfo(): void
}
