import type { SinkRecord } from '../../src/protocol/state.ts'

/** Where the events of one session of one shard go. Another session of the shard gets another feed: its sequences start anew. */
export interface Feed {
  /**
   * Takes the payload in `bytes` [from, to), whose head was read last (`head`); the memory is the caller's again
   * afterwards. `sequence`: its `s`.
   */
  add(bytes: Buffer, from: number, to: number, sequence: number): void
  /** The sequence up to which everything was confirmed. */
  readonly acknowledged: number
}

/**
 * A place for events. What was added is delivered at least once and in the order of its shard, or stays: nothing is
 * ever dropped.
 */
export interface Sink {
  /**
   * `acknowledged`: the sequence that was confirmed before, by another worker perhaps; 0 for a new session.
   * `sessionId`: Discord's; '' while the shard has none.
   */
  open(shardId: number, acknowledged: number, sessionId: string): Feed
  /** It takes no more for now: stop reading. What is added nonetheless is kept. */
  readonly full: boolean
  /** Resolves when everything added before is confirmed, or after `timeoutMs`: true when it is. */
  flush(timeoutMs: number): Promise<boolean>
  record(): SinkRecord
  /** Gives up what is not confirmed. */
  close(): Promise<void>
}

/** Called when a sink's record or fullness changed. */
export type SinkChanged = () => void
