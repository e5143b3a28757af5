import type { ShardRecord } from '../protocol/state.ts'

/**
 * Why a shard needs an IDENTIFY.
 * - `New`: it never had a session, as far as is known.
 * - `Invalidated`, `Closed`, `Expired`: Discord ended its session, see SESSION_ENDS in src/protocol.
 * - `Lost`: it had one, and nobody knows it any more, or it grew too old before anybody could take it up.
 */
export const IDENTIFY_CAUSES = ['New', 'Invalidated', 'Closed', 'Expired', 'Lost'] as const
export type IdentifyCause = (typeof IDENTIFY_CAUSES)[number]

const OF_END = { INVALIDATED: 'Invalidated', CLOSED: 'Closed', EXPIRED: 'Expired' } as const

/** `known`: the shard had a session once, here or on another worker. */
export function identifyCause({ ended, recovering }: ShardRecord, known: boolean): IdentifyCause {
  if (ended !== undefined) return OF_END[ended]
  return recovering || known ? 'Lost' : 'New'
}
