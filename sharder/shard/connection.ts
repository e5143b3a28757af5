import { createSecureContext, type SecureContext } from 'node:tls'
import { WebSocket } from 'ws'
import { createInflater, type Inflater, MAX_PAYLOAD_BYTES, type OnPayload } from './inflater.ts'

/** How one WebSocket ended. */
export interface Closed {
  /** The close code, or 1006 when there was none. */
  readonly code: number
  readonly reason: string
  /** This side ended it. */
  readonly byUs: boolean
}

export interface ConnectionOptions {
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

/** A peer that does not answer a close frame is cut off after this long, in milliseconds (ws itself waits 30 s). */
const CLOSE_PATIENCE_MS = 1_000

/** One for all sockets of a thread: 17 KB less for each, and half a millisecond less a handshake. */
let secureContext: SecureContext | undefined

/** One WebSocket to a gateway. Its closures know this socket only, so that a stale one can do no harm. */
export class Connection {
  readonly #ws: WebSocket
  readonly #options: ConnectionOptions
  readonly #inflater: Inflater | undefined
  #over = false
  #byUs: { readonly code: number; readonly reason: string } | undefined
  #paused = false
  #patience: NodeJS.Timeout | undefined
  #error: Error | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { url, compressed, handshakeTimeoutMs: handshakeTimeout } = options
    if (url.startsWith('wss:')) secureContext ??= createSecureContext()
    this.#ws = new WebSocket(url, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: MAX_PAYLOAD_BYTES,
      handshakeTimeout,
      ...(url.startsWith('wss:') && { secureContext }),
    })
    const payload: OnPayload = (bytes, from, to) => this.#payload(bytes, from, to)
    this.#inflater = compressed ? createInflater(payload, (error) => this.close(4000, error.message)) : undefined
    this.#ws.on('open', () => this.#opened())
    this.#ws.on('message', (data: Buffer, isBinary) => {
      if (this.#inflater !== undefined && isBinary) this.#inflater.write(data)
      else payload(data, 0, data.length)
    })
    // An error is always followed by a close, which is what counts.
    this.#ws.on('error', (error) => {
      this.#error = error
    })
    this.#ws.on('close', (code, reason) => this.#closed(code, reason.toString('utf8')))
  }

  get socket(): WebSocket {
    return this.#ws
  }

  get open(): boolean {
    return !this.#over && this.#ws.readyState === WebSocket.OPEN
  }

  send(text: string): void {
    if (this.open) this.#ws.send(text)
  }

  /** Stops reading, so that the sender feels it, until resume(). A socket that is not open yet stops when it is. */
  pause(): void {
    this.#paused = true
    this.#ws.pause()
  }

  resume(): void {
    this.#paused = false
    this.#ws.resume()
  }

  /** Ends it: no payload is delivered from now on, and onClosed follows within a second. */
  close(code: number, reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#byUs = { code, reason }
    // A paused socket never reads the answer to its close frame.
    this.#ws.resume()
    // Reasons are limited to 123 bytes; ours are ASCII.
    this.#ws.close(code, reason.slice(0, 123))
    this.#patience = setTimeout(() => this.#ws.terminate(), CLOSE_PATIENCE_MS)
  }

  #opened(): void {
    if (this.#over) return
    if (this.#paused) this.#ws.pause()
    this.#options.onOpen()
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
    clearTimeout(this.#patience)
    this.#inflater?.close()
    const byUs = this.#byUs
    const why = byUs?.reason ?? (reason || this.#error?.message || '')
    this.#options.onClosed({ code: byUs?.code ?? code, reason: why, byUs: byUs !== undefined })
  }
}
