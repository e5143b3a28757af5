import { FROM_GATEWAY } from '../../../../src/limits.ts'
import { CLOSE, closing, frame, longHead, PING, PONG } from '../../../unit/sharder/shard/websocket/frames.ts'
import { bytesOf, type Fault, leaving, passing } from './fault.ts'

const MB = 1024 * 1024

/** Frames that break RFC 6455 or the limit, and some that only look as if they did. */
export const FRAME_FAULTS: readonly Fault[] = [
  leaving('a reserved opcode', 'frame', (wire, payload, random) =>
    wire.message(payload, { opcode: random.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) }),
  ),
  leaving('a reserved bit', 'frame', (wire, payload, random) =>
    wire.message(payload, { reserved: random.pick([0x10, 0x20, 0x40, 0x70]) }),
  ),
  leaving('a masked frame', 'frame', (wire, payload, random) => wire.message(payload, { mask: bytesOf(random, 4, 4) })),
  leaving('a continuation of nothing', 'frame', (wire, payload) => wire.message(payload, { opcode: 0 })),
  leaving('a message within a message', 'frame', async (wire, payload) => {
    const bytes = await wire.pack(payload)
    wire.message(bytes.subarray(0, 10), { fin: false })
    wire.message(bytes)
  }),
  leaving('a fragmented control frame', 'frame', (wire, _payload, random) =>
    wire.message('half', { opcode: random.pick([CLOSE, PING, PONG]), fin: false }),
  ),
  leaving('a control frame that is too long', 'frame', (wire, _payload, random) =>
    wire.message(bytesOf(random, 126, 300), { opcode: random.pick([CLOSE, PING, PONG]) }),
  ),
  leaving('a length in more bytes than it needs', 'frame', (wire, _payload, random) =>
    wire.message(bytesOf(random, 1, 125), { lengthBytes: random.pick([2, 8]) }),
  ),
  leaving('a length with its first bit set', 'frame', (wire, _payload, random) =>
    wire.raw(longHead(2n ** 63n + BigInt(random.int(0, 2 ** 31)))),
  ),
  leaving('a length beyond the limit', 'size', (wire, _payload, random) =>
    wire.raw(longHead(random.pick([BigInt(FROM_GATEWAY.payloadBytes) + 1n, 2n ** 32n, 2n ** 62n]))),
  ),
  leaving('fragments beyond the limit together', 'size', (wire) => {
    const part = Buffer.alloc(8 * MB, ' ')
    for (let sent = 0; sent <= FROM_GATEWAY.payloadBytes; sent += part.length)
      wire.message(part, { fin: false, ...(sent > 0 && { opcode: 0 }) })
  }),
  leaving('a close frame of one byte', 'frame', (wire) => wire.message('x', { opcode: CLOSE })),
  leaving('a close code that nobody may send', 'frame', (wire, _payload, random) =>
    wire.message(closing(random.pick([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])), { opcode: CLOSE }),
  ),
  leaving('a close reason that is no UTF-8', [], (wire) =>
    wire.message(Buffer.concat([closing(4000), Buffer.from([0xff, 0xc0])]), { opcode: CLOSE }),
  ),
  leaving('the end in the middle of a frame', [], async (wire, payload, random) => {
    const bytes = frame(await wire.pack(payload))
    wire.raw(bytes.subarray(0, random.int(1, bytes.length - 1)))
    await wire.cut()
  }),
  leaving('the end behind a whole frame', [], async (wire) => wire.cut()),
  passing('pings and pongs', undefined, (wire, _payload, random) => {
    for (let i = 0; i < 50; i++) wire.message(bytesOf(random, 0, 125), { opcode: random.pick([PING, PONG]) })
  }),
  {
    name: 'many fragments with pings in between',
    at: 'event',
    reasons: [],
    leaves: false,
    play: async (wire, payload, random) => {
      const bytes = await wire.pack(payload)
      for (let at = 0, end: number; at < bytes.length; at = end) {
        end = at + random.int(1, 200)
        wire.message(bytes.subarray(at, end), { fin: end >= bytes.length, ...(at > 0 && { opcode: 0 }) })
        wire.message('', { opcode: PING })
      }
      return undefined
    },
  },
]
