import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guildTime } from '../../../../sharder/sinks/guild-id.ts'

/** What JSON.parse says: the id of the guild, if it is one. */
function expected(text: string, own: boolean): number {
  const { d } = JSON.parse(text) as { d: unknown }
  if (typeof d !== 'object' || d === null || Array.isArray(d)) return -1
  const id = (d as Record<string, unknown>)[own ? 'id' : 'guild_id']
  return typeof id === 'string' && /^\d{1,20}$/.test(id) ? Number(BigInt(id) >> 22n) : -1
}

function read(text: string, own: boolean, around = ''): number {
  const bytes = Buffer.from(around + text + around)
  const from = Buffer.byteLength(around)
  return guildTime(bytes, from, bytes.length - from, own)
}

const id = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  fc.constantFrom('', '0', '18446744073709551615', '1a', 'ä', '"', '\\', '-1', '123456789012345678901'),
  fc.string(),
)
const key = fc.oneof(
  fc.constantFrom('id', 'guild_id', 'd', 'guild', 'guild_id_', 'Guild_id', '"guild_id"', '\\', 'gu\\u0069ld_id'),
  fc.string({ unit: 'binary' }),
)
/** Anything, with guild ids of others nested at any depth and inside of strings. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    id,
    fc.jsonValue({ maxDepth: 1 }),
    fc.constant('{"guild_id":"1","d":{"guild_id":"2"}}'),
    fc.dictionary(key, tie('any'), { maxKeys: 4 }),
    fc.array(tie('any'), { maxLength: 3 }),
  ),
})).any
const data = fc.oneof(
  value,
  fc
    .tuple(fc.dictionary(key, value, { maxKeys: 4 }), fc.oneof(id, value), fc.dictionary(key, value, { maxKeys: 4 }))
    .map(([before, guild, after]) => ({ ...before, guild_id: guild, ...after })),
)
const order = fc.shuffledSubarray(['t', 's', 'op', 'd'] as const, { minLength: 4 })

describe('the guild of an event', () => {
  it('is what JSON.parse finds, whatever is nested, in any order of keys, with any white space', () => {
    fc.assert(
      fc.property(data, order, fc.constantFrom(0, 1), fc.boolean(), fc.string(), (d, keys, indent, own, around) => {
        const payload: Record<string, unknown> = { t: 'X', s: 1, op: 0, d }
        const text = JSON.stringify(Object.fromEntries(keys.map((each) => [each, payload[each]])), null, indent)
        expect(read(text, own, around)).toBe(expected(text, own))
      }),
      { numRuns: 5_000 },
    )
  })

  it('is found behind escapes, in keys too', () => {
    const escaped = String.raw`{"d":{"content":"\"guild_id\":\"1\" \\","\u0067uild_id":"419\u0034304"}}`
    expect(read(escaped, false)).toBe(1)
    expect(expected(escaped, false)).toBe(1)
  })

  it('never reads beyond the payload, and ends on what is no JSON', () => {
    const text = '{"t":"X","s":1,"op":0,"d":{"a":[{"b":"c"}],"guild_id":"4194304"}}'
    for (let to = 0; to < text.length; to++) {
      const cut = Buffer.from(text)
      expect([-1, 0, 1]).toContain(guildTime(cut, 0, to, false))
    }
    expect(read(text, false)).toBe(1)
  })
})
