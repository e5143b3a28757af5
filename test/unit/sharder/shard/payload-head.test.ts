import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashType, head, headType, readHead } from '../../../../sharder/shard/payload-head.ts'
import { runs } from '../../../support/fuzz.ts'

interface Payload {
  readonly t: string | null
  readonly s: number | null
  readonly op: number
  readonly d: unknown
}

const KEYS: (keyof Payload)[] = ['t', 's', 'op', 'd']

/** The head by a full parse, as the gateway's rules have it; undefined: it is no payload. */
function byParsing(bytes: Buffer): { t: string; s: number; op: number } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const { t, s, op } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isInteger(op)) return undefined
    const sequence = Number.isSafeInteger(s) && (s as number) >= 0 ? (s as number) : -1
    return { t: typeof t === 'string' ? t : '', s: sequence, op: op as number }
  } catch {
    return undefined
  }
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
    const order = fc.shuffledSubarray(KEYS, { minLength: 4 })
    fc.assert(
      fc.property(payload, order, fc.constantFrom(0, 1, 2), fc.string(), (made, keys, indent, around) => {
        const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, made[key]])), null, indent)
        const bytes = Buffer.from(around + text + around)
        const from = Buffer.byteLength(around)
        expect(read(bytes, from, bytes.length - from)).toEqual(expected(made))
      }),
      { numRuns: runs(2000) },
    )
  })

  it('reads Discord’s own order, whatever the numbers', () => {
    fc.assert(
      fc.property(payload, (made) => {
        const { t, s, op, d } = made
        expect(read(Buffer.from(JSON.stringify({ t, s, op, d })))).toEqual(expected(made))
      }),
      { numRuns: runs(2000) },
    )
  })

  it('reads the head of a huge payload', () => {
    const bytes = Buffer.from(JSON.stringify({ t: 'GUILD_CREATE', s: 7, op: 0, d: { x: 'é'.repeat(2_000_000) } }))
    expect(read(bytes)).toEqual({ t: 'GUILD_CREATE', s: 7, op: 0 })
  })

  it('reads READY and GUILD_CREATE of several megabytes as JSON.parse does, in any form', () => {
    const large = fc.record({
      t: fc.constantFrom('READY', 'GUILD_CREATE'),
      s: fc.nat(),
      op: fc.constant(0),
      d: fc.record({
        guilds: fc.integer({ min: 10_000, max: 40_000 }).map((count) =>
          Array.from({ length: count }, (_, i) => ({
            id: `${BigInt(i) << 22n}`,
            unavailable: i % 2 === 0,
            name: 'é"\\\n',
          })),
        ),
        more: fc.jsonValue(),
      }),
    })
    fc.assert(
      fc.property(large, fc.shuffledSubarray(KEYS, { minLength: 4 }), fc.constantFrom(0, 1), (made, keys, indent) => {
        const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, made[key]])), null, indent)
        expect(text.length).toBeGreaterThan(500_000)
        expect(read(Buffer.from(text))).toEqual(expected(made))
        expect(read(Buffer.from(JSON.stringify(made)))).toEqual(expected(made))
      }),
      { numRuns: runs(15) },
    )
  })

  it('reads a damaged head as JSON.parse reads it, or refuses it as JSON.parse does', () => {
    const damage = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      remove: fc.constantFrom(0, 1, 2),
      insert: fc.oneof(
        fc
          .string({ maxLength: 3, unit: fc.constantFrom(...'"{}[]:,\\ \n\t0123456789-.eEtsopdnul\u0000é') })
          .map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 2 }).map((bytes) => Buffer.from(bytes)),
      ),
    })
    let same = 0
    fc.assert(
      fc.property(payload, damage, (made, { at, remove, insert }) => {
        const { t, s, op } = made
        const sound = Buffer.from(JSON.stringify({ t, s, op, d: { x: 'long enough to be read from its bytes' } }))
        const end = sound.lastIndexOf('"d":') + 4
        const start = Math.floor(at * end)
        const bytes = Buffer.concat([sound.subarray(0, start), insert, sound.subarray(Math.min(start + remove, end))])
        // Else it is the body that is damaged, behind a sound head.
        fc.pre(!bytes.subarray(0, end).equals(sound.subarray(0, end)))
        const reference = byParsing(bytes)
        if (reference === undefined) expect(() => readHead(bytes, 0, bytes.length)).toThrow(SyntaxError)
        else {
          same++
          expect(read(bytes)).toEqual(reference)
        }
      }),
      { numRuns: runs(5_000) },
    )
    // Damage within a name or a number leaves JSON, and is read.
    expect(same).toBeGreaterThan(0)
  })

  it('leaves one line, the same JSON, and what lies around it as it was', () => {
    fc.assert(
      fc.property(payload, fc.constantFrom('', '\n', '\r\n', ' \n\t'), fc.string(), (made, space, around) => {
        const lines = JSON.stringify(made, null, 1).split('\n').join(space)
        const bytes = Buffer.from(around + lines + around)
        const from = Buffer.byteLength(around)
        const to = bytes.length - from
        readHead(bytes, from, to)
        expect(bytes.subarray(from, to).includes(10)).toBe(false)
        expect(JSON.parse(bytes.toString('utf8', from, to))).toEqual(JSON.parse(lines))
        expect([bytes.toString('utf8', 0, from), bytes.toString('utf8', to)]).toEqual([around, around])
      }),
      { numRuns: runs(1_000) },
    )
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
    '{"t":"A","s":1,"op":0,"d":{"cut off":tru',
    '{"t":"A","s":1,"op":0,"d":{"a text":"on two\nlines"}}',
    '{"t":null,"s":null,"op":11,"d":null} {}\n',
    '\ufeff{"t":null,"s":null,"op":11,"d":null}',
    `{"t":"${'X'.repeat(101)}","s":1,"op":0,"d":null}`,
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
