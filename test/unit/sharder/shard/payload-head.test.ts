import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashType, head, headType, readHead } from '../../../../sharder/shard/payload-head.ts'

interface Payload {
  readonly t: string | null
  readonly s: number | null
  readonly op: number
  readonly d: unknown
}

/** What a payload's head is, by JSON.parse alone. */
const expected = ({ t, s, op }: Payload) => ({ t: t ?? '', s: s ?? -1, op })

function read(bytes: Buffer, from = 0, to = bytes.length) {
  readHead(bytes, from, to)
  expect(head.type).toBe(hashType(headType(bytes)))
  return { t: headType(bytes), s: head.seq, op: head.op }
}

const name = fc.oneof(
  fc.constantFrom('MESSAGE_CREATE', 'READY', 'RESUMED', 'X', 'A1_2'),
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 60, maxLength: 80, unit: fc.constantFrom('A', '_') }),
)
const payload: fc.Arbitrary<Payload> = fc.record({
  t: fc.option(name),
  s: fc.option(fc.oneof(fc.nat(), fc.constantFrom(0, 999_999_999_999_999, Number.MAX_SAFE_INTEGER))),
  op: fc.oneof(fc.nat({ max: 50 }), fc.constantFrom(100, 999, 1000, 123_456)),
  d: fc.jsonValue(),
})

describe('readHead', () => {
  it('reads what JSON.parse reads, in any order of keys, with any white space, anywhere in the bytes', () => {
    const order = fc.shuffledSubarray(['t', 's', 'op', 'd'] as const, { minLength: 4 })
    fc.assert(
      fc.property(payload, order, fc.constantFrom(0, 1, 2), fc.string(), (made, keys, indent, around) => {
        const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, made[key]])), null, indent)
        const bytes = Buffer.from(around + text + around)
        const from = Buffer.byteLength(around)
        expect(read(bytes, from, bytes.length - from)).toEqual(expected(made))
      }),
      { numRuns: 2000 },
    )
  })

  it('reads Discord’s own order, whatever the numbers', () => {
    fc.assert(
      fc.property(payload, (made) => {
        const { t, s, op, d } = made
        expect(read(Buffer.from(JSON.stringify({ t, s, op, d })))).toEqual(expected(made))
      }),
      { numRuns: 2000 },
    )
  })

  it('reads the head of a huge payload', () => {
    const bytes = Buffer.from(JSON.stringify({ t: 'GUILD_CREATE', s: 7, op: 0, d: { x: 'é'.repeat(2_000_000) } }))
    expect(read(bytes)).toEqual({ t: 'GUILD_CREATE', s: 7, op: 0 })
  })

  it.each([
    ['escapes in the type', '{"t":"M\\u0041IN","s":1,"op":0,"d":null}', { t: 'MAIN', s: 1, op: 0 }],
    ['the shortest', '{"op":11}', { t: '', s: -1, op: 11 }],
    ['no d', '{"t":null,"s":null,"op":11}', { t: '', s: -1, op: 11 }],
    ['no s', '{"op":10,"d":{"heartbeat_interval":41250}}', { t: '', s: -1, op: 10 }],
    ['an exponent', '{"t":"A","s":1e3,"op":0,"d":{"padding":0}}', { t: 'A', s: 1000, op: 0 }],
    ['another key inside', '{"t":"A","s":12,"_op":3,"op":0,"d":{"p":0}}', { t: 'A', s: 12, op: 0 }],
  ])('falls back for %s', (_, text, result) => {
    expect(read(Buffer.from(text))).toEqual(result)
  })

  it.each([
    '',
    '[]',
    'null',
    '{"t":"A"',
    '{"t":"A","s":01,"op":0,"d":{"padding":0}}',
    '{"op":"0"}',
    '{"t":"READY","s":1,"op":',
  ])('refuses %s', (text) => {
    const bytes = Buffer.from(text)
    expect(() => readHead(bytes, 0, bytes.length)).toThrow(SyntaxError)
  })

  it('does not read beyond its end', () => {
    const whole = Buffer.from('{"t":"MESSAGE_CREATE","s":123,"op":0,"d":{}}')
    for (let to = 0; to < whole.length; to++) {
      const alone = Buffer.from(whole.subarray(0, to))
      const attempt = (bytes: Buffer) => {
        try {
          return read(bytes, 0, to)
        } catch {
          return 'refused'
        }
      }
      expect(attempt(whole)).toEqual(attempt(alone))
    }
  })
})
