import fc from 'fast-check'
import { expect, it } from 'vitest'
import { shardOfGuild } from '../../../src/domain/guild-shard.ts'

/** A snowflake made at `timestamp` (42 bits), with worker, process and increment in the low 22 bits. */
const snowflake = (timestamp: bigint, low: bigint): string => String(timestamp * 4_194_304n + low)

it('goes by when a guild was made, and by nothing else of its id', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 42n - 1n }),
      fc.bigInt({ min: 0n, max: 2n ** 22n - 1n }),
      fc.integer({ min: 1, max: 100_000 }),
      (timestamp, low, totalShards) => {
        const shard = shardOfGuild(snowflake(timestamp, low), totalShards)
        expect(shard).toBe(Number(timestamp % BigInt(totalShards)))
        expect(shard).toBeGreaterThanOrEqual(0)
        expect(shard).toBeLessThan(totalShards)
      },
    ),
  )
})

it('is exact where a number is not', () => {
  // Discord's own example of an id, and its neighbours on the other side of bit 22.
  expect(shardOfGuild('197038439483310086', 5_120)).toBe(Number(46_977_624_770n % 5_120n))
  expect(shardOfGuild('18446744073709551615', 5_120)).toBe(Number((2n ** 42n - 1n) % 5_120n))
  expect(shardOfGuild('4194303', 16)).toBe(0)
  expect(shardOfGuild('4194304', 16)).toBe(1)
})
