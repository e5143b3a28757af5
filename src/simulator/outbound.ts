import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { createCompressor, type StreamCompressor, type TransportCompression } from './compression.ts'

/** Bytes waiting in one socket beyond which nothing more is rendered for it until it drains. */
const HIGH_WATER_BYTES = 256 * 1024

/** The sending half of a connection: compression, and how much the client has not taken yet. */
export class Outbound {
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #compressor: StreamCompressor | undefined
  readonly #onDrain: () => void

  /** `onDrain` runs whenever what was waiting has left. */
  constructor(ws: WebSocket, socket: Socket, compression: TransportCompression, onDrain: () => void) {
    this.#ws = ws
    this.#socket = socket
    this.#compressor = compression === 'none' ? undefined : createCompressor(compression)
    this.#onDrain = onDrain
    socket.on('drain', onDrain)
  }

  /** Whether so much is waiting that generating more would only fill memory. */
  get congested(): boolean {
    return this.#ws.bufferedAmount + (this.#compressor?.pendingBytes ?? 0) > HIGH_WATER_BYTES
  }

  /** Sends one payload, in order; nothing happens on a connection that is closing. */
  send(payload: Buffer): void {
    const compressor = this.#compressor
    if (compressor === undefined) {
      this.#write(payload, false)
      return
    }
    let later = false
    compressor.write(payload, (message) => {
      this.#write(message, true)
      if (later && compressor.pendingBytes === 0) this.#onDrain()
    })
    later = true
  }

  /** Hands all that `work` sends to the kernel at once. */
  batch(work: () => void): void {
    this.#socket.cork()
    work()
    this.#socket.uncork()
  }

  /** Frees the compression context. */
  close(): void {
    this.#compressor?.close()
  }

  #write(bytes: Buffer, binary: boolean): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.send(bytes, { binary })
  }
}
