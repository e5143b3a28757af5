import type { Transform } from 'node:stream'
import { constants, createDeflate, createZstdCompress, type Zlib } from 'node:zlib'

/** The `compress` query of a gateway URL. */
export type TransportCompression = 'none' | 'zlib-stream' | 'zstd-stream'

/**
 * One compression context for the life of a connection, flushed after each payload: what comes out for one payload
 * is one WebSocket message (with zlib it ends in 00 00 ff ff), and it can only be read after all before it.
 */
export interface StreamCompressor {
  /** Uncompressed bytes that have gone in and not come out yet. */
  readonly pendingBytes: number
  /** Compresses `payload`; `done` gets its message, in the order of the writes. Not called after close(). */
  write(payload: Buffer, done: (message: Buffer) => void): void
  /** Frees the native context at once instead of at the next garbage collection. */
  close(): void
}

/** What lies below node:zlib's stream. Not a public API: it is used when it looks like this, else the stream is. */
interface NativeDeflate {
  readonly _handle: {
    writeSync(flush: number, input: Buffer, from: number, length: number, out: Buffer, at: number, room: number): void
  }
  /** [room left in the output, bytes left of the input] after each writeSync. */
  readonly _writeState: Uint32Array
}

/** Shared by all connections: deflating is synchronous. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024)

export function createCompressor(kind: 'zlib-stream' | 'zstd-stream'): StreamCompressor {
  if (kind === 'zstd-stream') return new ThreadedCompressor(zstd())
  const stream = deflate()
  return isNative(stream) ? new NativeCompressor(stream) : new ThreadedCompressor(stream)
}

/**
 * On this thread: a payload takes less time than a hop to libuv's thread pool and back, and what is sent in one go stays
 * together. A simulator that is slower than its clients would hand each event to them alone, and measure how they wake up.
 */
class NativeCompressor implements StreamCompressor {
  readonly pendingBytes = 0
  readonly #stream: NativeDeflate & Transform
  #closed = false

  constructor(stream: NativeDeflate & Transform) {
    this.#stream = stream
    // What goes wrong shows in the missing message; there is nothing to go wrong in a compressor.
    stream.on('error', () => this.close())
  }

  write(payload: Buffer, done: (message: Buffer) => void): void {
    if (this.#closed) return
    let end = 0
    for (let left = payload.length, full = true; left > 0 || full; ) {
      if (end === scratch.length) scratch = Buffer.concat([scratch, Buffer.allocUnsafeSlow(end)])
      const room = scratch.length - end
      const { _handle, _writeState } = this.#stream
      _handle.writeSync(constants.Z_SYNC_FLUSH, payload, payload.length - left, left, scratch, end, room)
      const [roomLeft = 0, inputLeft = 0] = _writeState
      end += room - roomLeft
      left = inputLeft
      full = roomLeft === 0
    }
    done(Buffer.from(scratch.subarray(0, end)))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.destroy()
  }
}

/** On libuv's thread pool, by node:zlib's public stream. */
class ThreadedCompressor implements StreamCompressor {
  readonly #stream: Transform & Zlib
  #chunks: Buffer[] = []
  #pendingBytes = 0
  #closed = false

  constructor(stream: Transform & Zlib) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#chunks.push(chunk))
    // An error after close() is a write that was cut off; before it there is nothing to go wrong in a compressor.
    stream.on('error', () => this.close())
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  write(payload: Buffer, done: (message: Buffer) => void): void {
    if (this.#closed) return
    this.#pendingBytes += payload.length
    this.#stream.write(payload, () => {
      this.#pendingBytes -= payload.length
      if (this.#closed) return
      const [first, ...rest] = this.#chunks
      this.#chunks = []
      if (first !== undefined) done(rest.length === 0 ? first : Buffer.concat([first, ...rest]))
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.destroy()
  }
}

function isNative(stream: unknown): stream is NativeDeflate & Transform {
  const { _handle, _writeState } = stream as Partial<NativeDeflate>
  return typeof _handle?.writeSync === 'function' && _writeState instanceof Uint32Array
}

// A 4 KiB window instead of 32: the stream stays valid for every client, and 5,000 contexts cost 0.2 GB less.
const deflate = () => createDeflate({ flush: constants.Z_SYNC_FLUSH, windowBits: 12, memLevel: 5 })

// Discord's frames declare a 256 KiB window; less would hide what zstd costs the client.
const zstd = () =>
  createZstdCompress({
    flush: constants.ZSTD_e_flush,
    params: { [constants.ZSTD_c_windowLog]: 18, [constants.ZSTD_c_compressionLevel]: 1 },
  })
