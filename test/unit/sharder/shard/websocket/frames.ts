/** How a frame is written; by default as a server writes a whole text message. */
export interface FrameShape {
  readonly opcode?: number
  readonly fin?: boolean
  /** Bits 0x40, 0x20 and 0x10. */
  readonly reserved?: number
  readonly mask?: Buffer
  /** Bytes of the length beyond the first; the fewest by default. */
  readonly lengthBytes?: 0 | 2 | 8
}

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** A frame, right or wrong. */
export function frame(payload: Buffer | string, shape: FrameShape = {}): Buffer {
  const body = Buffer.from(payload)
  const { opcode = TEXT, fin = true, reserved = 0, mask } = shape
  const { lengthBytes = body.length < 126 ? 0 : body.length <= 0xffff ? 2 : 8 } = shape
  const head = Buffer.alloc(2 + lengthBytes)
  head[0] = (fin ? 0x80 : 0) | reserved | opcode
  head[1] = (mask ? 0x80 : 0) | (lengthBytes === 0 ? body.length : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) head.writeUInt16BE(body.length, 2)
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(body.length), 2)
  if (!mask) return Buffer.concat([head, body])
  return Buffer.concat([head, mask, body.map((byte, i) => byte ^ (mask[i % 4] as number))])
}

/** Only the head of a frame that says it is so long. */
export function longHead(length: bigint, opcode = TEXT): Buffer {
  const head = Buffer.alloc(10)
  head[0] = 0x80 | opcode
  head[1] = 127
  head.writeBigUInt64BE(length, 2)
  return head
}

/** The payload of a close frame. */
export function closing(code: number, reason = ''): Buffer {
  const bytes = Buffer.from(`--${reason}`)
  bytes.writeUInt16BE(code)
  return bytes
}

/** Frames of a client, taken apart. @throws Error when one is not masked. */
export function clientFrames(bytes: Buffer): { readonly opcode: number; readonly payload: Buffer; mask: Buffer }[] {
  const frames = []
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = (bytes[at + 1] as number) & 0x7f
    const mask = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    if (((bytes[at + 1] as number) & 0x80) === 0) throw new Error('a client must mask its frames')
    const key = bytes.subarray(mask, mask + 4)
    const payload = Buffer.from(
      bytes.subarray(mask + 4, mask + 4 + length).map((byte, i) => byte ^ (key[i % 4] as number)),
    )
    frames.push({ opcode: (bytes[at] as number) & 0x0f, payload, mask: key })
    at = mask + 4 + length
  }
  return frames
}
