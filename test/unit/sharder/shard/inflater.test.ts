import { once } from 'node:events'
import { constants, createDeflate } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createInflater, createStreamInflater, type InflaterFactory } from '../../../../sharder/shard/inflater.ts'

/** Payloads as one zlib-stream: a flushed piece each. */
async function deflated(payloads: readonly string[]): Promise<Buffer[]> {
  const stream = createDeflate({ flush: constants.Z_SYNC_FLUSH })
  const pieces: Buffer[] = []
  for (const payload of payloads) {
    const parts: Buffer[] = []
    const take = (part: Buffer) => parts.push(part)
    stream.on('data', take)
    await new Promise<void>((resolve) => stream.write(payload, () => resolve()))
    stream.off('data', take)
    pieces.push(Buffer.concat(parts))
  }
  stream.destroy()
  return pieces
}

/** Cuts each piece into messages of at most `size` bytes. */
const cut = (pieces: readonly Buffer[], size: number): Buffer[] =>
  pieces.flatMap((piece) =>
    Array.from({ length: Math.ceil(piece.length / size) }, (_, i) => piece.subarray(i * size, (i + 1) * size)),
  )

/** What comes out of messages, or the error. */
async function inflated(make: InflaterFactory, messages: readonly Buffer[], wanted: number): Promise<string[] | Error> {
  const out: string[] = []
  const { promise, resolve } = Promise.withResolvers<string[] | Error>()
  const inflater = make((bytes, from, to) => {
    out.push(bytes.toString('utf8', from, to))
    if (out.length === wanted) resolve(out)
  }, resolve)
  for (const message of messages) inflater.write(message, 0, message.length)
  const result = await promise
  inflater.close()
  return result
}

describe.each([
  ['createInflater', createInflater],
  ['createStreamInflater', createStreamInflater],
])('%s', (_name, make) => {
  it('gives each payload as a whole, however it was cut into messages', async () => {
    const payloads = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3000 }), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(payloads, fc.integer({ min: 1, max: 4000 }), async (texts, size) => {
        const messages = cut(await deflated(texts), size)
        expect(await inflated(make, messages, texts.length)).toEqual(texts)
      }),
      { numRuns: 100 },
    )
  })

  it('takes payloads larger than its memory, and small ones after them', async () => {
    const texts = [
      'a',
      JSON.stringify(Array.from({ length: 600_000 }, (_, i) => i * 7919)),
      'b',
      'x'.repeat(512 * 1024),
      'c',
    ]
    const result = await inflated(make, cut(await deflated(texts), 65_536), texts.length)
    expect(result).toEqual(texts)
  })

  it.each([
    // Bits 1 and 2 of a block's first byte are its type, and there is no type 3.
    ['a block of no known type', (piece: Buffer) => Buffer.from(piece.map((byte, i) => (i === 2 ? byte | 6 : byte)))],
    ['something that is no zlib stream', () => Buffer.from('{"t":null,"s":null,"op":10}')],
  ])('says that the stream is corrupt: %s', async (_what, spoil) => {
    const [piece] = await deflated([JSON.stringify({ a: 'some text that is long enough', b: Math.PI })])
    const result = await inflated(make, [spoil(piece as Buffer)], 1)
    expect(result).toBeInstanceOf(Error)
    expect(String(result)).toContain('zlib stream')
  })

  it('says that the stream has ended', async () => {
    const stream = createDeflate()
    const parts: Buffer[] = []
    stream.on('data', (part) => parts.push(part))
    stream.end('a payload')
    await once(stream, 'end')
    const result = await inflated(make, [Buffer.concat(parts), Buffer.from('more')], 1)
    expect(String(result)).toContain('zlib stream')
  })
})
