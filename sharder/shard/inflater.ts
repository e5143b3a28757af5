import type { Transform } from 'node:stream'
import type { Zlib } from 'node:zlib'
import { FROM_GATEWAY } from '../../src/limits.ts'
import type { Codec } from './codec.ts'
import { GatewayFault } from './gateway-fault.ts'
import { TOO_MUCH_HELD, threadMemory } from './memory-budget.ts'

/** Takes whole payloads: bytes [from, to) are valid during the call only. */
export type OnPayload = (bytes: Buffer, from: number, to: number) => void

/** The decompression context of one connection. */
export interface Inflater {
  /** Takes one WebSocket message, bytes [from, to); the memory is the caller's again afterwards. */
  write(bytes: Buffer, from: number, to: number): void
  /** Frees the native context now instead of at the next garbage collection. */
  close(): void
}

/** Makes one for a connection. `onError`: the stream is corrupt or a payload too large, and nothing more will come. */
export type InflaterFactory = (codec: Codec, onPayload: OnPayload, onError: (error: Error) => void) => Inflater

/** What lies below node:zlib's streams. Not a public API: it is used when it looks like this, else the stream is. */
interface Native {
  readonly _handle: {
    writeSync(flush: number, input: Buffer, from: number, length: number, out: Buffer, at: number, room: number): void
  }
  /** [room left in the output, bytes left of the input] after each writeSync. */
  readonly _writeState: Uint32Array
}

const SCRATCH_BYTES = 512 * 1024
/** Memory of more than this is given back after the message that needed it. Only what is beyond it counts as held. */
const KEPT_BYTES = 8 * SCRATCH_BYTES
/** Shared by all connections of a thread: inflating is synchronous, so that one memory serves them in turn. */
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

/**
 * A compressed stream on this thread, into shared memory. A hop to libuv's thread pool and back costs three times what it takes
 * to inflate an event, and its four threads would be shared by 500 shards.
 */
export const createInflater: InflaterFactory = (codec, onPayload, onError) => {
  // The stream itself never inflates, so its own output buffer is as small as it may be.
  const stream = codec.open(64)
  if (isNative(stream)) return new NativeInflater(codec, stream, onPayload, onError)
  stream.close()
  return createStreamInflater(codec, onPayload, onError)
}

function isNative(stream: unknown): stream is Native & Transform & Zlib {
  const { _handle, _writeState } = stream as Partial<Native>
  return typeof _handle?.writeSync === 'function' && _writeState instanceof Uint32Array
}

class NativeInflater implements Inflater {
  readonly #codec: Codec
  readonly #stream: Native & Transform & Zlib
  readonly #onPayload: OnPayload
  readonly #onError: (error: Error) => void
  /** The start of a payload that comes in several messages. */
  #held: Buffer | undefined
  readonly #end: ReturnType<Codec['end']>
  #cause: Error | undefined
  #over = false

  constructor(codec: Codec, stream: Native & Transform & Zlib, onPayload: OnPayload, onError: (error: Error) => void) {
    this.#codec = codec
    this.#end = codec.end()
    this.#stream = stream
    this.#onPayload = onPayload
    this.#onError = onError
    stream.on('error', (error) => {
      this.#cause = error
    })
  }

  write(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return
    const joined = this.#held !== undefined
    try {
      const end = this.#inflate(bytes, from, to)
      const whole = this.#end.reachedBy(bytes, from, to)
      this.#hold(whole ? 0 : end)
      if (whole && (joined || end > this.#codec.surelyWhole || end === 0)) checkWhole(scratch, end, this.#codec)
      if (whole) this.#onPayload(scratch, 0, end)
    } catch (error) {
      this.#over = true
      this.#hold(0)
      this.#onError(error as Error)
    }
    if (scratch.length > KEPT_BYTES) shrink()
  }

  close(): void {
    this.#over = true
    this.#hold(0)
    this.#stream.close()
  }

  /** @returns how much of `scratch` is used. */
  #inflate(bytes: Buffer, from: number, to: number): number {
    const { name, flush } = this.#codec
    let end = this.#takeHeld()
    let left = to - from
    for (let full = true; left > 0 || full; ) {
      if (end === scratch.length) grow(end)
      const room = scratch.length - end
      const { _handle, _writeState } = this.#stream
      _handle.writeSync(flush, bytes, to - left, left, scratch, end, room)
      if (this.#stream.destroyed) throw corrupt(name, this.#cause)
      const [roomLeft = 0, inputLeft = 0] = _writeState
      // Neither read nor written, with room for both: the stream has ended, which a gateway's never does.
      if (left > 0 && inputLeft === left && roomLeft === room) throw ended(name)
      end += room - roomLeft
      left = inputLeft
      full = roomLeft === 0
    }
    return end
  }

  #takeHeld(): number {
    const held = this.#held
    if (held === undefined) return 0
    while (scratch.length < held.length) grow(0)
    return held.copy(scratch)
  }

  /** Keeps the first `bytes` of `scratch` for the next message, instead of what was kept until now. */
  #hold(bytes: number): void {
    const had = this.#held?.length ?? 0
    if (had === bytes) return
    if (!threadMemory.change(had, bytes)) throw tooMuch()
    this.#held = bytes === 0 ? undefined : Buffer.from(scratch.subarray(0, bytes))
  }
}

function grow(used: number): void {
  if (scratch.length >= FROM_GATEWAY.payloadBytes) throw tooLarge()
  const size = scratch.length * 2
  if (size > KEPT_BYTES && !threadMemory.change(scratch.length, size)) throw tooMuch()
  const larger = Buffer.allocUnsafeSlow(size)
  scratch.copy(larger, 0, 0, used)
  scratch = larger
}

function shrink(): void {
  threadMemory.change(scratch.length, KEPT_BYTES)
  scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
}

/**
 * A stream has no checksum before its end. Where bytes may be missing from a payload without the stream noticing, which
 * no gateway was ever seen to do, it is parsed once: what is put together wrongly is no JSON.
 * @throws GatewayFault
 */
function checkWhole(bytes: Buffer, length: number, { name }: Codec): void {
  try {
    JSON.parse(bytes.toString('utf8', 0, length))
  } catch (cause) {
    throw new GatewayFault('compression', `the ${name} stream lacks a part of a payload`, { cause })
  }
}

const corrupt = (name: string, cause: unknown) =>
  new GatewayFault('compression', `the ${name} stream is corrupt`, { cause })
const ended = (name: string) => new GatewayFault('compression', `the ${name} stream has ended`)
const tooLarge = () => new GatewayFault('size', `a payload inflates to more than ${FROM_GATEWAY.payloadBytes} bytes`)
const tooMuch = () => new GatewayFault('size', TOO_MUCH_HELD)

/** The same on node:zlib's public streams, for a Node that looks different inside. Payloads come a moment later. */
export const createStreamInflater: InflaterFactory = (codec, onPayload, onError) => {
  const stream = codec.open(16 * 1024)
  let parts: Buffer[] = []
  let size = 0
  let messages = 0
  let over = false
  const end = codec.end()
  const forget = () => {
    threadMemory.change(size, 0)
    parts = []
    size = 0
  }
  const fail = (error: Error) => {
    if (over) return
    over = true
    forget()
    onError(error)
  }
  stream.on('error', (cause) => fail(corrupt(codec.name, cause)))
  stream.on('end', () => fail(ended(codec.name)))
  stream.on('data', (part: Buffer) => {
    if (over) return
    const larger = size + part.length
    if (larger > FROM_GATEWAY.payloadBytes) fail(tooLarge())
    else if (threadMemory.change(size, larger)) {
      size = larger
      parts.push(part)
    } else fail(tooMuch())
  })
  const payload = () => {
    const all = Buffer.concat(parts, size)
    const joined = messages > 1
    forget()
    messages = 0
    if (joined || all.length > codec.surelyWhole || all.length === 0) checkWhole(all, all.length, codec)
    onPayload(all, 0, all.length)
  }
  return {
    write(bytes, from, to) {
      if (over) return
      const whole = end.reachedBy(bytes, from, to)
      stream.write(Buffer.from(bytes.subarray(from, to)), () => {
        messages++
        if (!whole || over) return
        try {
          payload()
        } catch (error) {
          fail(error as Error)
        }
      })
    },
    close() {
      over = true
      forget()
      stream.close()
    },
  }
}
