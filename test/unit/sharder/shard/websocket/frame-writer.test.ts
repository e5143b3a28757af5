import fc from 'fast-check'
import { expect, it } from 'vitest'
import { clientFrame, closeFrame } from '../../../../../sharder/shard/websocket/frame-writer.ts'
import { BINARY, CLOSE, clientFrames, closing, PONG, TEXT } from './frames.ts'

it('writes what another side reads, masked', () => {
  const sizes = fc.oneof(fc.nat(400), fc.constantFrom(125, 126, 65_535, 65_536))
  fc.assert(
    fc.property(fc.constantFrom(TEXT, BINARY, PONG), sizes, (opcode, size) => {
      const payload = Buffer.alloc(size, 'abc')
      const [written, ...more] = clientFrames(clientFrame(opcode, payload))
      expect(more).toEqual([])
      expect(written).toMatchObject({ opcode, payload })
    }),
  )
})

it('never uses a mask twice, as far as chance allows', () => {
  const masks = Array.from({ length: 5_000 }, () => clientFrame(TEXT, Buffer.from('x')).readUInt32BE(2))
  expect(new Set(masks).size).toBeGreaterThan(4_990)
})

it('writes close frames: empty ones, and reasons cut to what fits without half a character', () => {
  expect(clientFrames(closeFrame())).toMatchObject([{ opcode: CLOSE, payload: Buffer.alloc(0) }])
  expect(clientFrames(closeFrame(4000, 'bye'))).toMatchObject([{ opcode: CLOSE, payload: closing(4000, 'bye') }])
  const [long] = clientFrames(closeFrame(1000, '€'.repeat(100)))
  expect(long?.payload).toEqual(closing(1000, '€'.repeat(41)))
})
