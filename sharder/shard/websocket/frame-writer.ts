import { randomFillSync } from 'node:crypto'
import { MAX_CONTROL_BYTES, Opcode } from './protocol.ts'

const MASK_BYTES = 4
/** Masks are drawn in advance: a system call for four bytes would be most of what a heartbeat costs. */
const masks = Buffer.allocUnsafeSlow(1024 * MASK_BYTES)
let nextMask = masks.length

const FIN = 0x80
const MASKED = 0x80

/**
 * One frame of a client, masked with random bytes that nobody can foresee (RFC 6455, sections 5.2 and 5.3).
 * `payload` is at most 4 GB long.
 */
export function clientFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload
  const lengthBytes = length <= 125 ? 0 : length <= 0xffff ? 2 : 8
  const frame = Buffer.allocUnsafe(2 + lengthBytes + MASK_BYTES + length)
  frame[0] = FIN | opcode
  frame[1] = MASKED | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127)
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2)
  else if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2)
  if (nextMask === masks.length) {
    randomFillSync(masks)
    nextMask = 0
  }
  const mask = 2 + lengthBytes
  masks.copy(frame, mask, nextMask, nextMask + MASK_BYTES)
  nextMask += MASK_BYTES
  const body = mask + MASK_BYTES
  for (let i = 0; i < length; i++) frame[body + i] = (payload[i] as number) ^ (frame[mask + (i & 3)] as number)
  return frame
}

/** A close frame; no code: an empty one. The reason is cut off where a control frame ends. */
export function closeFrame(code?: number, reason = ''): Buffer {
  if (code === undefined) return clientFrame(Opcode.Close, Buffer.alloc(0))
  const payload = Buffer.alloc(MAX_CONTROL_BYTES)
  payload.writeUInt16BE(code)
  // write() never leaves a character half-written.
  const written = payload.write(reason, 2, 'utf8')
  return clientFrame(Opcode.Close, payload.subarray(0, 2 + written))
}
