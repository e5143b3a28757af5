import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { constants, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { CODECS, type Codec } from '../../../../sharder/shard/codec.ts'
import { createInflater, createStreamInflater, type Inflater } from '../../../../sharder/shard/inflater.ts'
import { MemoryBudget, threadMemory } from '../../../../sharder/shard/memory-budget.ts'
import { FrameReader } from '../../../../sharder/shard/websocket/frame-reader.ts'
import { FrameError } from '../../../../sharder/shard/websocket/protocol.ts'
import { FROM_GATEWAY } from '../../../../src/limits.ts'
import { frame, longHead } from './websocket/frames.ts'

const MB = 1024 * 1024
/** What else of this process comes and goes. Without a budget the eight below hold 160 MB and more. */
const SLACK = 32 * MB
const { threadBytes, allowanceBytes, payloadBytes } = FROM_GATEWAY

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
function held(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

/** Nothing is held any more: all of the budget can be had, and not a byte more. */
function expectAllFree(): void {
  const all = threadBytes + allowanceBytes
  expect(threadMemory.change(0, all + 1)).toBe(false)
  expect(threadMemory.change(0, all)).toBe(true)
  expect(threadMemory.change(all, 0)).toBe(true)
}
afterEach(expectAllFree)

describe('MemoryBudget', () => {
  it('gives all holders together no more than it has, and has all of it again when all have given it back', () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 150 })), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (steps) => {
        const budget = new MemoryBudget(100, 10)
        const holders = [0, 0, 0, 0, 0]
        const beyond = (all: readonly number[]) => all.reduce((sum, bytes) => sum + Math.max(0, bytes - 10), 0)
        for (const [who, wanted] of steps) {
          const had = holders[who] as number
          const fits = beyond(holders.with(who, wanted)) <= 100
          expect(budget.change(had, wanted)).toBe(fits)
          if (fits) holders[who] = wanted
        }
        for (const had of holders) expect(budget.change(had, 0)).toBe(true)
        expect(budget.change(0, 110)).toBe(true)
      }),
    )
  })
})

/** Reads so much of a message that never ends; what a reader threw, if it did. */
function readPart(reader: FrameReader, bytes: number, head = longHead(BigInt(payloadBytes))): unknown {
  const piece = Buffer.alloc(MB, 'x')
  try {
    reader.read(head, 0, head.length)
    for (let sent = 0; sent < bytes; sent += piece.length) reader.read(piece, 0, Math.min(piece.length, bytes - sent))
    return undefined
  } catch (error) {
    return error
  }
}
const quiet = { message() {}, control() {} }

describe('frames that are not finished', () => {
  it('of many shards take what one may, and who wants more is closed as for a message that is too big', () => {
    const before = held()
    const readers = Array.from({ length: 8 }, () => new FrameReader(quiet, payloadBytes))
    const errors = readers.map((reader) => readPart(reader, 30 * MB))
    expect(held() - before).toBeLessThan(threadBytes + SLACK)
    const closed = errors.filter((error) => error !== undefined)
    expect(closed.length).toBeGreaterThan(0)
    for (const error of closed) {
      expect(error).toBeInstanceOf(FrameError)
      expect(error).toMatchObject({ code: 1009, message: expect.stringContaining(`${threadBytes} bytes`) })
    }
    // Not one is closed that fits.
    expect(errors[0]).toBeUndefined()
    for (const reader of readers) reader.stop()
  })

  it('are counted in fragments as well', () => {
    const readers = Array.from({ length: 8 }, () => new FrameReader(quiet, payloadBytes))
    const part = frame(Buffer.alloc(20 * MB), { fin: false })
    const errors = readers.map((reader) => readPart(reader, 0, part))
    expect(errors.filter((error) => error !== undefined).length).toBeGreaterThan(4)
    for (const reader of readers) reader.stop()
  })

  it('leave those alone that are as large as the largest guilds', () => {
    const taken: number[] = []
    const readers = Array.from(
      { length: 6 },
      () => new FrameReader({ message: (_bytes, from, to) => taken.push(to - from), control() {} }, payloadBytes),
    )
    const guild = 5 * MB
    for (const reader of readers) expect(readPart(reader, guild - 1, longHead(BigInt(guild)))).toBeUndefined()
    for (const reader of readers) reader.read(Buffer.alloc(1), 0, 1)
    expect(taken).toEqual(readers.map(() => guild))
  })

  it('ask for nothing as long as they are usual', () => {
    const all = threadBytes + allowanceBytes
    expect(threadMemory.change(0, all)).toBe(true)
    const readers = Array.from({ length: 100 }, () => new FrameReader(quiet, payloadBytes))
    for (const reader of readers) expect(readPart(reader, 30_000, longHead(70_000n))).toBeUndefined()
    threadMemory.change(all, 0)
    for (const reader of readers) reader.stop()
  })
})

const FACTORIES = [
  ['createInflater', createInflater],
  ['createStreamInflater', createStreamInflater],
] as const

describe.each(FACTORIES)('payloads that are not finished, by %s', (_name, make) => {
  /** A zlib stream whose first payload lacks its mark. */
  const unfinished = (bytes: number) => {
    const whole = deflateSync(Buffer.alloc(bytes, ' '), { finishFlush: constants.Z_SYNC_FLUSH })
    return whole.subarray(0, -4)
  }
  const mark = Buffer.from([0, 0, 0xff, 0xff])

  async function open(message: Buffer) {
    let taken = 0
    const faults: Error[] = []
    const inflater: Inflater = make(
      CODECS.ZlibStream as Codec,
      (_bytes, from, to) => {
        taken = to - from
      },
      (error) => faults.push(error),
    )
    inflater.write(message, 0, message.length)
    // The streams of node:zlib take their time; one that is through has taken all before it.
    await new Promise((resolve) => setImmediate(resolve))
    return { inflater, faults, taken: () => taken }
  }

  it('of many shards take what one may, and who wants more is resumed', async () => {
    const message = unfinished(20 * MB)
    const before = held()
    const all: Awaited<ReturnType<typeof open>>[] = []
    for (let i = 0; i < 8; i++) all.push(await open(message))
    await expect.poll(() => all.some(({ faults }) => faults.length > 0)).toBe(true)
    await expect.poll(() => held() - before, { timeout: 10_000 }).toBeLessThan(threadBytes + SLACK)
    for (const { faults } of all)
      for (const fault of faults) {
        expect(faults).toHaveLength(1)
        expect(fault).toMatchObject({ reason: 'size', message: expect.stringContaining(`${threadBytes} bytes`) })
      }
    for (const { inflater } of all) inflater.close()
  })

  it('that fit are given when they are', async () => {
    const message = unfinished(5 * MB)
    const all: Awaited<ReturnType<typeof open>>[] = []
    for (let i = 0; i < 4; i++) all.push(await open(message))
    for (const { inflater } of all) inflater.write(mark, 0, mark.length)
    // Spaces are no JSON, which is looked at when a payload came in pieces: it was inflated as a whole, and let go.
    for (const { faults } of all) {
      await expect.poll(() => faults.length).toBe(1)
      expect(faults[0]).toMatchObject({ reason: 'compression' })
    }
    for (const { inflater } of all) inflater.close()
  })
})

it('inflates a large payload only as far as the thread may hold more', () => {
  const faults: Error[] = []
  const inflater = createInflater(
    CODECS.ZlibStream as Codec,
    () => {},
    (error) => faults.push(error),
  )
  const others = threadBytes - 8 * MB
  expect(threadMemory.change(0, others)).toBe(true)
  const bomb = deflateSync(Buffer.alloc(20 * MB), { finishFlush: constants.Z_SYNC_FLUSH })
  inflater.write(bomb, 0, bomb.length)
  expect(faults).toMatchObject([{ reason: 'size', message: expect.stringContaining(`${threadBytes} bytes`) }])
  inflater.close()
  threadMemory.change(others, 0)
})
