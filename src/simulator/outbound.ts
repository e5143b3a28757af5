import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { createCompressor, type StreamCompressor, type TransportCompression } from './compression.ts'
import { FrameBatch } from './frames.ts'

/** Bytes waiting in one socket beyond which nothing more is rendered for it until it drains. */
const HIGH_WATER_BYTES = 256 * 1024

/** The sending half of a connection: compression, and how much the client has not taken yet. */
export class Outbound {
  readonly #ws: WebSocket
  readonly #frames: FrameBatch
  readonly #compressor: StreamCompressor | undefined
  readonly #onDrain: () => void
  #batching = false

  /** `onDrain` runs whenever what was waiting has left. */
  constructor(ws: WebSocket, socket: Socket, compression: TransportCompression, onDrain: () => void) {
    this.#ws = ws
    this.#frames = new FrameBatch(socket)
    this.#compressor = compression === 'none' ? undefined : createCompressor(compression)
    this.#onDrain = onDrain
    socket.on('drain', onDrain)
  }

  /** Whether so much is waiting that generating more would only fill memory. */
  get congested(): boolean {
    const waiting = this.#ws.bufferedAmount + this.#frames.pendingBytes + (this.#compressor?.pendingBytes ?? 0)
    return waiting > HIGH_WATER_BYTES
  }

  /**
   * Sends one payload, in order: `payload`, after `head` (ASCII) if it begins with what is its own. Nothing happens on a
   * connection that is closing.
   */
  send(payload: Buffer, head = ''): void {
    const compressor = this.#compressor
    if (compressor === undefined) {
      this.#write(payload, head, false)
      return
    }
    let later = false
    compressor.write(head === '' ? payload : Buffer.concat([Buffer.from(head, 'latin1'), payload]), (message) => {
      this.#write(message, '', true)
      if (later && compressor.pendingBytes === 0) this.#onDrain()
    })
    later = true
  }

  /** Hands all that `work` sends to the kernel at once. */
  batch(work: () => void): void {
    this.#batching = true
    try {
      work()
    } finally {
      this.#batching = false
      this.#frames.flush()
    }
  }

  /** Frees the compression context. */
  close(): void {
    this.#compressor?.close()
  }

  #write(payload: Buffer, head: string, binary: boolean): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    this.#frames.add(payload, head, binary)
    if (!this.#batching) this.#frames.flush()
  }
}
