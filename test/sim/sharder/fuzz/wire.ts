import type { Socket } from 'node:net'
import type { Transform } from 'node:stream'
import { constants, createDeflate, createZstdCompress, type Zlib } from 'node:zlib'
import { BINARY, type FrameShape, frame, TEXT } from '../../../unit/sharder/shard/websocket/frames.ts'

/** The `compress` query of a connection. */
export type Compress = 'none' | 'zlib-stream' | 'zstd-stream'

/** What a hostile gateway can do to one client: payloads as they should be, and bytes as they should not. */
export class Wire {
  readonly compress: Compress
  readonly #socket: Socket
  readonly #compressor: (Transform & Zlib) | undefined
  /** Events that come beside those of the session. */
  readonly #onExtra: (payload: Buffer) => void
  #parts: Buffer[] = []

  constructor(socket: Socket, compress: Compress, onExtra: (payload: Buffer) => void) {
    this.#socket = socket
    this.compress = compress
    this.#onExtra = onExtra
    if (compress === 'none') return
    this.#compressor = compressorOf(compress)
    this.#compressor.on('data', (part: Buffer) => this.#parts.push(part))
    this.#compressor.on('error', () => undefined)
  }

  /** One payload in one message. */
  async send(payload: Buffer | string): Promise<void> {
    this.message(await this.pack(payload))
  }

  /** An event that is none of the session's, but must reach the bot as it is. */
  async extra(payload: Buffer | string): Promise<void> {
    this.#onExtra(Buffer.from(payload))
    await this.send(payload)
  }

  /** A payload as the bytes of a message. They must be sent, for what follows is built on them. */
  async pack(payload: Buffer | string): Promise<Buffer> {
    const compressor = this.#compressor
    if (compressor === undefined) return Buffer.from(payload)
    this.#parts = []
    await new Promise<void>((resolve) => compressor.write(payload, () => resolve()))
    return Buffer.concat(this.#parts)
  }

  /** What pack() made, in one frame or as `shape` says. */
  message(bytes: Buffer | string, shape: FrameShape = {}): void {
    this.raw(frame(bytes, { opcode: this.compress === 'none' ? TEXT : BINARY, ...shape }))
  }

  raw(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes)
  }

  /** Ends the connection without a word, when all before has left. */
  async cut(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.end(() => resolve()))
    this.#socket.destroy()
  }

  close(): void {
    this.#compressor?.destroy()
  }
}

function compressorOf(compress: Exclude<Compress, 'none'>): Transform & Zlib {
  if (compress === 'zlib-stream') return createDeflate({ flush: constants.Z_SYNC_FLUSH })
  const params = { [constants.ZSTD_c_windowLog]: 18, [constants.ZSTD_c_compressionLevel]: 1 }
  return createZstdCompress({ flush: constants.ZSTD_e_flush, params })
}
