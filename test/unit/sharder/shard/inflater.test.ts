import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { constants, createDeflate, createZstdCompress } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CODECS, type Codec } from '../../../../sharder/shard/codec.ts'
import {
  createInflater,
  createStreamInflater,
  type InflaterFactory,
  type OnPayload,
} from '../../../../sharder/shard/inflater.ts'
import { FROM_GATEWAY } from '../../../../src/limits.ts'
import { runs } from '../../../support/fuzz.ts'

/** Payloads as one stream: a flushed piece each. `windowLog`: of zstd. */
async function compressed(codec: Codec, payloads: readonly (string | Buffer)[], windowLog = 18): Promise<Buffer[]> {
  const stream =
    codec.name === 'zlib'
      ? createDeflate({ flush: constants.Z_SYNC_FLUSH })
      : createZstdCompress({ flush: constants.ZSTD_e_flush, params: { [constants.ZSTD_c_windowLog]: windowLog } })
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
async function inflated(
  codec: Codec,
  make: InflaterFactory,
  messages: readonly Buffer[],
  wanted: number,
): Promise<string[] | Error> {
  const out: string[] = []
  const { promise, resolve } = Promise.withResolvers<string[] | Error>()
  const take: OnPayload = (bytes, from, to) => {
    out.push(bytes.toString('utf8', from, to))
    if (out.length === wanted) resolve(out)
  }
  const inflater = make(codec, take, resolve)
  for (const message of messages) inflater.write(message, 0, message.length)
  const result = await promise
  inflater.close()
  return result
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const TOO_LARGE = Buffer.alloc(FROM_GATEWAY.payloadBytes + 1, ' ')

const zlib = CODECS.ZlibStream as Codec
const zstd = CODECS.ZstdStream as Codec
const FACTORIES = [
  ['createInflater', createInflater],
  ['createStreamInflater', createStreamInflater],
] as const
const EVERY = FACTORIES.flatMap(([name, make]) =>
  [zlib, zstd].map((codec) => [codec.query, name, codec, make] as const),
)

describe.each(EVERY)('%s by %s', (_query, _name, codec, make) => {
  it('takes payloads larger than its memory, and small ones after them', async () => {
    const texts = [
      '{"a":1}',
      JSON.stringify(Array.from({ length: 600_000 }, (_, i) => i * 7919)),
      '{"b":2}',
      JSON.stringify('x'.repeat(512 * 1024)),
      '{"c":3}',
    ]
    expect(await inflated(codec, make, await compressed(codec, texts), texts.length)).toEqual(texts)
  })

  it('gives up a payload beyond the limit, whatever it was compressed to, and gives its memory back', async () => {
    collectGarbage()
    const before = process.memoryUsage().arrayBuffers
    const bomb = await compressed(codec, ['{"small":1}', TOO_LARGE])
    expect(bomb[1]?.length).toBeLessThan(FROM_GATEWAY.payloadBytes / 900)
    const result = await inflated(codec, make, bomb, 2)
    expect(result).toMatchObject({
      reason: 'size',
      message: expect.stringContaining(`${FROM_GATEWAY.payloadBytes} bytes`),
    })
    const held = () => {
      collectGarbage()
      return process.memoryUsage().arrayBuffers - before
    }
    await expect.poll(held, { timeout: 15_000 }).toBeLessThan(8_000_000)
  })

  it('says that the stream is corrupt when it is none', async () => {
    const result = await inflated(codec, make, [Buffer.from('{"t":null,"s":null,"op":10}')], 1)
    expect(result).toMatchObject({ reason: 'compression', message: `the ${codec.name} stream is corrupt` })
  })

  it('delivers nothing that lacks a part, wherever a message was cut off', async () => {
    const texts = Array.from({ length: 3 }, (_, i) =>
      JSON.stringify({ i, list: Array.from({ length: 99 }, (_, n) => i * n) }),
    )
    const pieces = await compressed(codec, texts)
    const first = pieces[0] as Buffer
    for (let length = 0; length < first.length; length += 7) {
      const cut = [first.subarray(0, length), ...pieces.slice(1)]
      const out = await inflated(codec, make, cut, 3)
      expect(out, `cut at ${length} of ${first.length}`).toMatchObject({ reason: 'compression' })
    }
  })
})

describe.each(FACTORIES)('zlib-stream by %s', (_name, make) => {
  it('gives each payload as a whole, however it was cut into messages', async () => {
    const payloads = fc.array(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3000 }).map((text) => JSON.stringify(text)),
      {
        minLength: 1,
        maxLength: 8,
      },
    )
    await fc.assert(
      fc.asyncProperty(payloads, fc.integer({ min: 1, max: 4000 }), async (texts, size) => {
        const messages = cut(await compressed(zlib, texts), size)
        expect(await inflated(zlib, make, messages, texts.length)).toEqual(texts)
      }),
      { numRuns: runs(100) },
    )
  })

  it('says that a block of no known type is corrupt', async () => {
    const [piece] = await compressed(zlib, [JSON.stringify({ a: 'some text that is long enough', b: Math.PI })])
    // Bits 1 and 2 of a block's first byte are its type, and there is no type 3.
    const spoilt = Buffer.from((piece as Buffer).map((byte, i) => (i === 2 ? byte | 6 : byte)))
    expect(await inflated(zlib, make, [spoilt], 1)).toMatchObject({ reason: 'compression' })
  })

  it('says that the stream has ended', async () => {
    const stream = createDeflate()
    const parts: Buffer[] = []
    stream.on('data', (part) => parts.push(part))
    stream.end('a payload')
    await once(stream, 'end')
    const result = await inflated(zlib, make, [Buffer.concat(parts), Buffer.from('more')], 1)
    expect(String(result)).toContain('zlib stream')
  })
})

describe.each(FACTORIES)('zstd-stream by %s', (_name, make) => {
  it('gives each message as one payload, of any size', async () => {
    const sizes = fc.array(fc.oneof(fc.nat({ max: 3_000 }), fc.integer({ min: 130_000, max: 300_000 })), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(sizes, fc.infiniteStream(fc.nat()), async (lengths, numbers) => {
        const texts = lengths.map((length) => {
          const list = [...numbers.take(Math.ceil(length / 10))]
          return JSON.stringify(list.length > 0 ? list : [0])
        })
        expect(await inflated(zstd, make, await compressed(zstd, texts), texts.length)).toEqual(texts)
      }),
      { numRuns: runs(15) },
    )
  })

  it('refuses a frame that asks for a window of more than 8 MB', async () => {
    const result = await inflated(zstd, make, await compressed(zstd, ['{"a":1}'], 24), 1)
    expect(result).toMatchObject({ reason: 'compression' })
    expect(await inflated(zstd, make, await compressed(zstd, ['{"a":1}'], 23), 1)).toEqual(['{"a":1}'])
  })
})
