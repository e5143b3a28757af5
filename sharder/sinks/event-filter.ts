import { hashType } from '../shard/payload-head.ts'

/** Which events go to a sink, by their types. */
export interface EventFilterSettings {
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
}

/** @returns undefined when all do; else a function of `head.type`. */
export function eventFilter({ include, exclude }: EventFilterSettings): ((type: number) => boolean) | undefined {
  if (include !== undefined) {
    const wanted = new Set(include.map(hashType))
    return (type) => wanted.has(type)
  }
  if (exclude === undefined) return undefined
  const unwanted = new Set(exclude.map(hashType))
  return (type) => !unwanted.has(type)
}
