import type { Slab } from './slab.ts'

/**
 * Sends each event of `slab` that is not confirmed: those of one shard one after the other, so that none can overtake
 * one that was refused, and up to `atOnce` shards side by side. After a failure no further shard is begun.
 * @returns what the first that failed failed with; undefined: all are confirmed.
 */
export async function inShardOrder(
  slab: Slab,
  atOnce: number,
  send: (i: number) => Promise<unknown>,
): Promise<{ readonly error: unknown } | undefined> {
  const { index } = slab
  if (index === undefined) throw new Error('a slab without an index cannot be sent event by event')
  const { first, next } = chainsOf(slab)
  let failure: { readonly error: unknown } | undefined
  let chain = 0
  const sendChains = async () => {
    while (failure === undefined && chain < first.length) {
      for (let i = first[chain++] as number; i >= 0; i = next[i] as number) {
        try {
          await send(i)
          index.confirm(i)
        } catch (error) {
          failure ??= { error }
          break
        }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, first.length) }, sendChains))
  return failure
}

/** What is not confirmed, as a list for each shard: where it begins, and what comes after each event (-1: nothing). */
function chainsOf({ index }: Slab): { readonly first: readonly number[]; readonly next: Int16Array } {
  const length = index?.length ?? 0
  const first: number[] = []
  const next = new Int16Array(length).fill(-1)
  const last = new Map<number, number>()
  for (let i = 0; i < length; i++) {
    if (index?.isConfirmed(i)) continue
    const shardId = index?.mark(i).shardId ?? 0
    const before = last.get(shardId)
    if (before === undefined) first.push(i)
    else next[before] = i
    last.set(shardId, i)
  }
  return { first, next }
}
