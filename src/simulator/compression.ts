import type { Transform } from 'node:stream'
import { constants, createDeflate, createZstdCompress, type Zlib } from 'node:zlib'

/** The `compress` query of a gateway URL. */
export type TransportCompression = 'none' | 'zlib-stream' | 'zstd-stream'

/**
 * One compression context for the life of a connection, flushed after each payload: what comes out for one payload
 * is one WebSocket message (with zlib it ends in 00 00 ff ff), and it can only be read after all before it.
 */
export class StreamCompressor {
  readonly #stream: Transform & Zlib
  #chunks: Buffer[] = []
  #pendingBytes = 0
  #closed = false

  constructor(kind: 'zlib-stream' | 'zstd-stream') {
    this.#stream = kind === 'zlib-stream' ? deflate() : zstd()
    this.#stream.on('data', (chunk: Buffer) => this.#chunks.push(chunk))
    // An error after close() is a write that was cut off; before it there is nothing to go wrong in a compressor.
    this.#stream.on('error', () => this.close())
  }

  /** Uncompressed bytes that have gone in and not come out yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Compresses `payload`; `done` gets its message, in the order of the writes. Not called after close(). */
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

  /** Frees the native context at once instead of at the next garbage collection. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.destroy()
  }
}

// A 4 KiB window instead of 32: the stream stays valid for every client, and 5,000 contexts cost 0.2 GB less.
const deflate = () => createDeflate({ flush: constants.Z_SYNC_FLUSH, windowBits: 12, memLevel: 5 })

// Discord's frames declare a 256 KiB window; less would hide what zstd costs the client.
const zstd = () =>
  createZstdCompress({
    flush: constants.ZSTD_e_flush,
    params: { [constants.ZSTD_c_windowLog]: 18, [constants.ZSTD_c_compressionLevel]: 1 },
  })
