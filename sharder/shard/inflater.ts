import { constants, createInflate, type Inflate } from 'node:zlib'

/** Longest payload that is taken, inflated or not, in bytes: a GUILD_CREATE of the largest guilds is a few MB. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024

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
export type InflaterFactory = (onPayload: OnPayload, onError: (error: Error) => void) => Inflater

/** What lies below node:zlib's stream. Not a public API: it is used when it looks like this, else the stream is. */
interface NativeInflate {
  readonly _handle: {
    writeSync(flush: number, input: Buffer, from: number, length: number, out: Buffer, at: number, room: number): void
  }
  /** [room left in the output, bytes left of the input] after each writeSync. */
  readonly _writeState: Uint32Array
}

const SCRATCH_BYTES = 512 * 1024
/** Shared by all connections of a thread: inflating is synchronous, so that one memory serves them in turn. */
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

/** Discord ends each payload with an empty stored block, 00 00 FF FF, which may itself be cut in two by messages. */
class EndOfPayload {
  #lastFour = 0xffffffff

  /** Whether the stream so far, with [from, to) as its newest part, ends a payload. */
  reachedBy(bytes: Buffer, from: number, to: number): boolean {
    for (let i = Math.max(from, to - 4); i < to; i++)
      this.#lastFour = ((this.#lastFour << 8) | (bytes[i] as number)) >>> 0
    return this.#lastFour === 0x0000ffff
  }
}

/**
 * zlib-stream on this thread, into shared memory. A hop to libuv's thread pool and back costs three times what it takes
 * to inflate an event, and its four threads would be shared by 500 shards.
 */
export const createInflater: InflaterFactory = (onPayload, onError) => {
  // The stream itself never inflates, so its own output buffer is as small as it may be.
  const stream = createInflate({ chunkSize: 64 })
  if (isNative(stream)) return new NativeInflater(stream, onPayload, onError)
  stream.close()
  return createStreamInflater(onPayload, onError)
}

function isNative(stream: unknown): stream is NativeInflate & Inflate {
  const { _handle, _writeState } = stream as Partial<NativeInflate>
  return typeof _handle?.writeSync === 'function' && _writeState instanceof Uint32Array
}

class NativeInflater implements Inflater {
  readonly #stream: NativeInflate & Inflate
  readonly #onPayload: OnPayload
  readonly #onError: (error: Error) => void
  /** The start of a payload that comes in several messages. */
  #held: Buffer | undefined
  readonly #end = new EndOfPayload()
  #cause: Error | undefined
  #over = false

  constructor(stream: NativeInflate & Inflate, onPayload: OnPayload, onError: (error: Error) => void) {
    this.#stream = stream
    this.#onPayload = onPayload
    this.#onError = onError
    stream.on('error', (error) => {
      this.#cause = error
    })
  }

  write(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return
    let end: number
    try {
      end = this.#inflate(bytes, from, to)
    } catch (error) {
      this.#over = true
      this.#onError(error as Error)
      return
    }
    if (this.#end.reachedBy(bytes, from, to)) this.#onPayload(scratch, 0, end)
    else this.#held = Buffer.from(scratch.subarray(0, end))
    if (scratch.length > 8 * SCRATCH_BYTES) scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  }

  close(): void {
    this.#over = true
    this.#held = undefined
    this.#stream.close()
  }

  /** @returns how much of `scratch` is used. */
  #inflate(bytes: Buffer, from: number, to: number): number {
    let end = this.#takeHeld()
    let left = to - from
    for (let full = true; left > 0 || full; ) {
      if (end === scratch.length) grow(end)
      const room = scratch.length - end
      const { _handle, _writeState } = this.#stream
      _handle.writeSync(constants.Z_SYNC_FLUSH, bytes, to - left, left, scratch, end, room)
      if (this.#stream.destroyed) throw new Error('the zlib stream is corrupt', { cause: this.#cause })
      const [roomLeft = 0, inputLeft = 0] = _writeState
      // Neither read nor written, with room for both: the stream has ended, which a gateway's never does.
      if (left > 0 && inputLeft === left && roomLeft === room) throw new Error('the zlib stream has ended')
      end += room - roomLeft
      left = inputLeft
      full = roomLeft === 0
    }
    return end
  }

  #takeHeld(): number {
    const held = this.#held
    if (held === undefined) return 0
    this.#held = undefined
    while (scratch.length < held.length) grow(0)
    return held.copy(scratch)
  }
}

function grow(used: number): void {
  if (scratch.length >= MAX_PAYLOAD_BYTES) throw new Error(`a payload inflates to more than ${MAX_PAYLOAD_BYTES} bytes`)
  const larger = Buffer.allocUnsafeSlow(scratch.length * 2)
  scratch.copy(larger, 0, 0, used)
  scratch = larger
}

/** The same on node:zlib's public stream, for a Node that looks different inside. Payloads come a moment later. */
export const createStreamInflater: InflaterFactory = (onPayload, onError) => {
  const stream = createInflate({ chunkSize: 16 * 1024, flush: constants.Z_SYNC_FLUSH })
  let parts: Buffer[] = []
  let size = 0
  let over = false
  const end = new EndOfPayload()
  const fail = (error: Error) => {
    if (over) return
    over = true
    onError(error)
  }
  stream.on('error', (cause) => fail(new Error('the zlib stream is corrupt', { cause })))
  stream.on('end', () => fail(new Error('the zlib stream has ended')))
  stream.on('data', (part: Buffer) => {
    size += part.length
    if (size > MAX_PAYLOAD_BYTES) fail(new Error(`a payload inflates to more than ${MAX_PAYLOAD_BYTES} bytes`))
    else parts.push(part)
  })
  return {
    write(bytes, from, to) {
      if (over) return
      const whole = end.reachedBy(bytes, from, to)
      stream.write(Buffer.from(bytes.subarray(from, to)), () => {
        if (!whole || over) return
        const all = Buffer.concat(parts, size)
        parts = []
        size = 0
        onPayload(all, 0, all.length)
      })
    },
    close() {
      over = true
      stream.close()
    },
  }
}
