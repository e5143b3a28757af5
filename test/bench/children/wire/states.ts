import type { ShardRecord, ShardStateName } from '../../../../src/protocol/state.ts'

/** What both ends must agree on when nothing is on its way any more. */
export interface StateSum {
  readonly shards: number
  readonly sequences: number
  readonly states: Partial<Record<ShardStateName, number>>
}

export function sumOf(records: Iterable<ShardRecord>): StateSum {
  const states: Partial<Record<ShardStateName, number>> = {}
  let [shards, sequences] = [0, 0]
  for (const { state, session } of records) {
    shards++
    sequences += session?.sequence ?? 0
    states[state] = (states[state] ?? 0) + 1
  }
  return { shards, sequences, states }
}
