import type { Clock } from '../../src/support/clock.ts'
import { createInflater, type Inflater, MAX_PAYLOAD_BYTES, type OnPayload } from './inflater.ts'
import { WebSocketClient } from './websocket/client.ts'

/** How one WebSocket ended. */
export interface Closed {
  /** The close code, or 1006 when there was none. */
  readonly code: number
  readonly reason: string
  /** This side ended it. */
  readonly byUs: boolean
}

export interface ConnectionOptions {
  readonly clock: Clock
  /** With `v`, `encoding` and `compress`. */
  readonly url: string
  readonly compressed: boolean
  readonly handshakeTimeoutMs: number
  readonly onOpen: () => void
  /** Never called after close() or after the connection has closed. */
  readonly onPayload: OnPayload
  /** Called exactly once, whatever happens, and at most a second after close(). */
  readonly onClosed: (closed: Closed) => void
}

/** One WebSocket to a gateway. Its closures know this socket only, so that a stale one can do no harm. */
export class Connection {
  readonly #client: WebSocketClient
  readonly #options: ConnectionOptions
  readonly #inflater: Inflater | undefined
  #over = false
  #byUs: { readonly code: number; readonly reason: string } | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { clock, url, compressed, handshakeTimeoutMs } = options
    const payload: OnPayload = (bytes, from, to) => this.#payload(bytes, from, to)
    const inflater = compressed ? createInflater(payload, (error) => this.close(4000, error.message)) : undefined
    this.#inflater = inflater
    this.#client = new WebSocketClient({
      url,
      clock,
      handshakeTimeoutMs,
      maxBytes: MAX_PAYLOAD_BYTES,
      onOpen: () => this.#opened(),
      onMessage: inflater
        ? (bytes, from, to, binary) => (binary ? inflater.write(bytes, from, to) : payload(bytes, from, to))
        : payload,
      onClosed: (code, reason) => this.#closed(code, reason),
    })
  }

  /** As discordeno asks for it: the numbers of the DOM's WebSocket. */
  get readyState(): number {
    return this.open ? READY_STATE_OPEN : READY_STATE_CLOSED
  }

  get open(): boolean {
    return !this.#over && this.#client.open
  }

  send(text: string): void {
    if (this.open) this.#client.send(text)
  }

  /** Stops reading, so that the sender feels it, until resume(). A socket that is not open yet stops when it is. */
  pause(): void {
    this.#client.pause()
  }

  resume(): void {
    this.#client.resume()
  }

  /** Ends it: no payload is delivered from now on, and onClosed follows within a second. */
  close(code: number, reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#byUs = { code, reason }
    this.#client.close(code, reason)
  }

  #opened(): void {
    if (!this.#over) this.#options.onOpen()
  }

  #payload(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return
    try {
      this.#options.onPayload(bytes, from, to)
    } catch (error) {
      this.close(4000, `unreadable payload: ${error instanceof Error ? error.name : 'error'}`)
    }
  }

  #closed(code: number, reason: string): void {
    this.#over = true
    this.#inflater?.close()
    const byUs = this.#byUs
    this.#options.onClosed({
      code: byUs?.code ?? code,
      reason: byUs?.reason ?? reason,
      byUs: byUs !== undefined,
    })
  }
}

const READY_STATE_OPEN = 1
const READY_STATE_CLOSED = 3
