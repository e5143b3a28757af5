import type { WorkerLink } from './worker-link.ts'

/** Shards given to a worker that its state stream does not show yet: it may hold them from the moment they are sent. */
interface Offer {
  readonly epoch: number
  /** A restarted process forgot it. */
  readonly bootId: string | undefined
  readonly shardIds: Set<number>
}

const NONE: readonly Offer[] = []

/** What was offered to each worker and not seen since. An offer is over when the stream shows what was written after it. */
export class Offers {
  readonly #offers = new Map<number, Offer[]>()

  /** @returns what takes the offer back: it was certainly not taken. */
  add({ ref, view }: WorkerLink, epoch: number, shardIds: Iterable<number>): () => void {
    const offer = { epoch, bootId: view.bootId, shardIds: new Set(shardIds) }
    this.#offers.set(ref.ordinal, [...(this.#offers.get(ref.ordinal) ?? []), offer])
    return () => offer.shardIds.clear()
  }

  /** Shards that may be on their way to this worker. */
  *of(link: WorkerLink): Generator<number> {
    for (const { shardIds } of this.#open(link)) yield* shardIds
  }

  includes(link: WorkerLink, shardId: number): boolean {
    return this.#open(link).some(({ shardIds }) => shardIds.has(shardId))
  }

  /** The worker gave these up again. */
  drop(ordinal: number, shardIds: readonly number[]): void {
    for (const offer of this.#offers.get(ordinal) ?? []) for (const shardId of shardIds) offer.shardIds.delete(shardId)
  }

  forget(ordinal: number): void {
    this.#offers.delete(ordinal)
  }

  #open({ ref, view }: WorkerLink): readonly Offer[] {
    const offers = this.#offers.get(ref.ordinal)
    if (!offers || offers.length === 0) return NONE
    const open = offers.filter(({ epoch, bootId }) => bootId === view.bootId && epoch > view.epoch)
    this.#offers.set(ref.ordinal, open)
    return open
  }
}
