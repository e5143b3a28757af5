import { FROM_MANAGER } from '../limits.ts'

/** The manager sends a slot at most this far ahead, in milliseconds. */
export const MAX_SLOT_MS = FROM_MANAGER.slotMs

/** State changes of a worker's shards are gathered this long before they are streamed, in milliseconds. */
export const STATE_GATHER_MS = 20

/** Sequences and round trips alone are streamed at this pace, in milliseconds: a copy is at most this old. */
export const CHECKPOINT_MS = 1_000

/** A silent state stream carries an empty delta this often, so that a half-open connection is noticed, in milliseconds. */
export const KEEPALIVE_MS = 5_000

/** A state stream silent for this long is broken: three keep-alives are missing, in milliseconds. */
export const STREAM_SILENCE_MS = 15_000
