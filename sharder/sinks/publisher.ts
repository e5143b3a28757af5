import type { Slab } from './slab.ts'

/** What became of one attempt to hand a slab over. */
export type PublishResult = { readonly kind: 'acknowledged' } | Refusal

/** Why events were not taken. The message goes on after "the sink …: " and says what to do. */
export type Refusal =
  | { readonly kind: 'unauthorized'; readonly message: string }
  /** `retryAfterMs`: the sink said when to come back. */
  | { readonly kind: 'failed'; readonly message: string; readonly retryAfterMs?: number }

/** Hands slabs over to one kind of server. */
export interface Publisher {
  /** Whether it sends events one by one, and so needs slabs that know where each of them is. */
  readonly indexed: boolean
  /**
   * Sends what of the slab is not confirmed yet, in the order of each shard, and marks in it what was confirmed. It
   * is called again with the same slab until everything is. Every outcome is a value; it does not reject.
   */
  publish(slab: Slab): Promise<PublishResult>
  /** Ends connections; what is under way fails. */
  close(): Promise<void>
}

/** Thrown where a single event is refused. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly refusal: Refusal

  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.message, options)
    this.refusal = refusal
  }
}
