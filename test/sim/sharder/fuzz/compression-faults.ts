import { FROM_GATEWAY } from '../../../../src/limits.ts'
import { TEXT } from '../../../unit/sharder/shard/websocket/frames.ts'
import { bytesOf, type Fault, leaving } from './fault.ts'
import type { Compress } from './wire.ts'

const COMPRESSED: readonly Compress[] = ['zlib-stream', 'zstd-stream']
/** Of a block: this one is the last, and it is empty. In deflate with fixed codes, and raw in zstd. */
const LAST_BLOCK = { none: [], 'zlib-stream': [0x03, 0x00, 0, 0, 0, 1], 'zstd-stream': [0x01, 0x00, 0x00] } as const

const on = (compress: readonly Compress[], fault: Fault): Fault => ({ ...fault, on: compress })
const onBoth = (fault: Fault): Fault => on(COMPRESSED, fault)

/** Streams that are corrupt, cut off or much larger than they look. */
export const COMPRESSION_FAULTS: readonly Fault[] = [
  onBoth(
    leaving('a block of no known type', 'compression', (wire, _payload, random) =>
      // Bits 1 and 2 of a block's first byte are its type, in deflate and in zstd, and there is no type 3.
      wire.message(Buffer.concat([Buffer.of(random.int(0, 31) * 8 + 6), bytesOf(random, 2, 300)])),
    ),
  ),
  onBoth(
    leaving('anything at all', ['compression', 'payload'], (wire, _payload, random) =>
      wire.message(bytesOf(random, 3, 300)),
    ),
  ),
  onBoth(leaving('an empty message', 'compression', (wire) => wire.message(''))),
  onBoth(
    leaving('a message without its end', ['compression', 'payload'], async (wire, payload, random) => {
      const bytes = await wire.pack(payload)
      wire.message(bytes.subarray(0, random.int(1, bytes.length - 1)))
    }),
  ),
  onBoth(
    leaving('a message without its beginning', ['compression', 'payload'], async (wire, payload, random) => {
      const bytes = await wire.pack(payload)
      wire.message(bytes.subarray(random.int(1, bytes.length - 5)))
    }),
  ),
  onBoth(
    leaving('a large message without its end', ['compression', 'payload'], async (wire, payload, random) => {
      const bytes = await wire.pack(`${payload.subarray(0, -1)},"more":"${bytesOf(random, 2e5, 4e5).toString('hex')}"}`)
      wire.message(bytes.subarray(0, random.int(bytes.length / 2, bytes.length - 1)))
    }),
  ),
  onBoth(
    leaving('a message without its end, and the end of the connection', [], async (wire, payload, random) => {
      const bytes = await wire.pack(payload)
      wire.message(bytes.subarray(0, random.int(1, Math.min(bytes.length - 1, 20))), { fin: false })
      await wire.cut()
    }),
  ),
  onBoth(
    leaving('the end of the stream', 'compression', (wire) => wire.message(Buffer.from(LAST_BLOCK[wire.compress]))),
  ),
  onBoth(
    leaving('a bomb', 'size', async (wire, payload) =>
      wire.send(
        Buffer.concat([payload.subarray(0, -1), Buffer.alloc(FROM_GATEWAY.payloadBytes, ' '), Buffer.from('}')]),
      ),
    ),
  ),
  onBoth({
    name: 'a payload that is not compressed',
    at: 'event',
    reasons: [],
    leaves: false,
    play: async (wire, payload) => {
      wire.message(payload, { opcode: TEXT })
      return undefined
    },
  }),
  on(['zlib-stream'], {
    name: 'a payload in several messages',
    at: 'event',
    reasons: [],
    leaves: false,
    play: async (wire, payload, random) => {
      const bytes = await wire.pack(payload)
      for (let at = 0, end: number; at < bytes.length; at = end) {
        end = at + random.int(1, 200)
        wire.message(bytes.subarray(at, end))
      }
      return undefined
    },
  }),
]
