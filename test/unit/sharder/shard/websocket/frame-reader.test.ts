import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../../../sharder/shard/websocket/frame-reader.ts'
import { FrameError } from '../../../../../sharder/shard/websocket/protocol.ts'
import { runs } from '../../../../support/fuzz.ts'
import { BINARY, CLOSE, closing, frame, longHead, PING, PONG, TEXT } from './frames.ts'

const MAX_BYTES = 70_000

/** What a reader passed on, in order: messages as [opcode, text], control frames too. */
type Read = [opcode: number, text: string][]

/** Each piece is read from memory that is overwritten right after, as a shared buffer is. */
function readAll(pieces: readonly Buffer[], maxBytes = MAX_BYTES): { readonly read: Read; readonly error: unknown } {
  const read: Read = []
  const reader = new FrameReader(
    {
      message: (bytes, from, to, binary) => read.push([binary ? BINARY : TEXT, bytes.toString('latin1', from, to)]),
      control: (opcode, bytes, from, to) => read.push([opcode, bytes.toString('latin1', from, to)]),
    },
    maxBytes,
  )
  const shared = Buffer.alloc(MAX_BYTES * 4)
  try {
    for (const piece of pieces) {
      shared.fill(0xaa)
      piece.copy(shared, 3)
      reader.read(shared, 3, 3 + piece.length)
    }
  } catch (error) {
    return { read, error }
  }
  return { read, error: undefined }
}

const whole = (...frames: readonly Buffer[]): Read => readAll([Buffer.concat(frames)]).read
const bytewise = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.of(byte))

const body = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  // Around the lengths where another form begins.
  fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536).map((length) => new Uint8Array(length).fill(length)),
)
/** A message and how it is cut into frames, with control frames in between. */
const message = fc.record({
  opcode: fc.constantFrom(TEXT, BINARY),
  parts: fc.array(body, { minLength: 1, maxLength: 4 }).filter((parts) => sizeOf(parts) <= MAX_BYTES),
  between: fc.array(fc.record({ opcode: fc.constantFrom(PING, PONG), payload: fc.uint8Array({ maxLength: 125 }) }), {
    maxLength: 2,
  }),
})
const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, { length }) => sum + length, 0)
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

describe('FrameReader', () => {
  it('gives the same messages and control frames wherever the bytes were cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), cuts, (messages, sizes) => {
        const frames: Buffer[] = []
        const expected: Read = []
        for (const { opcode, parts, between } of messages) {
          parts.forEach((part, i) => {
            const fin = i === parts.length - 1
            if (fin)
              for (const { opcode, payload } of between) {
                frames.push(frame(Buffer.from(payload), { opcode }))
                expected.push([opcode, latin1(payload)])
              }
            frames.push(frame(Buffer.from(part), { opcode: i === 0 ? opcode : 0, fin }))
          })
          expected.push([opcode, latin1(Buffer.concat(parts))])
        }
        const bytes = Buffer.concat(frames)
        const pieces: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] as number
          pieces.push(bytes.subarray(at, at + size))
          at += size
        }
        expect(readAll(pieces)).toEqual({ read: expected, error: undefined })
      }),
      { numRuns: runs(300) },
    )
  })

  it('reads frames that come byte by byte', () => {
    const bytes = Buffer.concat([
      frame('first, '.repeat(30), { fin: false }),
      frame('', { opcode: 0, fin: false }),
      frame('ping', { opcode: PING }),
      frame('last', { opcode: 0 }),
      frame(''),
      frame(closing(4000, 'bye'), { opcode: CLOSE }),
    ])
    const expected: Read = [
      [PING, 'ping'],
      [TEXT, `${'first, '.repeat(30)}last`],
      [TEXT, ''],
      [CLOSE, closing(4000, 'bye').toString('latin1')],
    ]
    expect(readAll(bytewise(bytes))).toEqual({ read: expected, error: undefined })
    expect(whole(bytes)).toEqual(expected)
  })

  it.each<[what: string, bytes: Buffer, code: number]>([
    ['each reserved bit: 1', frame('x', { reserved: 0x40 }), 1002],
    ['each reserved bit: 2', frame('x', { reserved: 0x20 }), 1002],
    ['each reserved bit: 3', frame('x', { reserved: 0x10 }), 1002],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, Buffer, number] => [
      `reserved opcode ${opcode}`,
      frame('x', { opcode }),
      1002,
    ]),
    ['a masked frame', frame('x', { mask: Buffer.from([1, 2, 3, 4]) }), 1002],
    ['a continuation of nothing', frame('x', { opcode: 0 }), 1002],
    ['a message inside a message', Buffer.concat([frame('x', { fin: false }), frame('y')]), 1002],
    ['a fragmented ping', frame('x', { opcode: PING, fin: false }), 1002],
    ['a ping of 126 bytes', frame('x'.repeat(126), { opcode: PING }), 1002],
    ['a short length in two bytes', frame('x'.repeat(125), { lengthBytes: 2 }), 1002],
    ['a short length in eight bytes', frame('x'.repeat(125), { lengthBytes: 8 }), 1002],
    ['a length of 64 KB in eight bytes', frame('x'.repeat(65_535), { lengthBytes: 8 }), 1002],
    ['a length with its first bit set', longHead(2n ** 63n), 1002],
    ['a length beyond what a number holds', longHead(2n ** 63n - 1n), 1009],
    ['a length beyond the limit', longHead(BigInt(MAX_BYTES + 1)), 1009],
    [
      'fragments beyond the limit together',
      Buffer.concat([
        frame('x'.repeat(MAX_BYTES), { fin: false }),
        frame('', { opcode: 0, fin: false }),
        frame('y', { opcode: 0 }),
      ]),
      1009,
    ],
  ])('refuses %s, however it comes, and passes on what was before it', (_what, bytes, code) => {
    for (const pieces of [[frame('before'), bytes], [Buffer.concat([frame('before'), bytes])]]) {
      const { read, error } = readAll(pieces)
      expect(read).toEqual([[TEXT, 'before']])
      expect(error).toBeInstanceOf(FrameError)
      expect(error).toMatchObject({ code })
    }
    expect(readAll(bytewise(bytes)).error).toMatchObject({ code })
  })

  it('takes messages as long as the limit, in one frame or several', () => {
    const text = 'x'.repeat(MAX_BYTES)
    expect(whole(frame(text), frame(text, { fin: false }), frame('', { opcode: 0 }))).toEqual([
      [TEXT, text],
      [TEXT, text],
    ])
  })

  it('refuses a length before its bytes have come, and takes no memory for what is only announced', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 50 }, () => {
      const reader = new FrameReader({ message() {}, control() {} }, 64 * 1024 * 1024)
      const bytes = Buffer.concat([longHead(64n * 1024n * 1024n), Buffer.from('a few')])
      reader.read(bytes, 0, bytes.length)
      return reader
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
    for (const reader of readers) reader.stop()
  })

  it('passes nothing on after stop(), not even what it was given before', () => {
    const read: string[] = []
    const reader = new FrameReader(
      {
        message(bytes, from, to) {
          read.push(bytes.toString('utf8', from, to))
          if (read.length === 2) reader.stop()
        },
        control() {},
      },
      100,
    )
    const bytes = Buffer.concat([frame('1'), frame('2'), frame('3')])
    reader.read(bytes, 0, bytes.length)
    reader.read(bytes, 0, bytes.length)
    expect(read).toEqual(['1', '2'])
  })

  it('reads nothing after an error', () => {
    const bytes = Buffer.concat([frame('x', { opcode: 3 })])
    const reader = new FrameReader({ message: () => expect.unreachable(), control() {} }, 100)
    expect(() => reader.read(bytes, 0, bytes.length)).toThrow(FrameError)
    reader.read(frame('more'), 0, 6)
  })
})
