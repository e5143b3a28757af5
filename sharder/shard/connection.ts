import { FROM_GATEWAY } from '../../src/limits.ts'
import type { Clock } from '../../src/support/clock.ts'
import type { Codec } from './codec.ts'
import { type FaultReason, faultReason, GatewayFault } from './gateway-fault.ts'
import { createInflater, type Inflater, type OnPayload } from './inflater.ts'
import { WebSocketClient } from './websocket/client.ts'
import { CloseCode, type FrameError } from './websocket/protocol.ts'

/** How one WebSocket ended. */
export interface Closed {
  /** The close code, or 1006 when there was none. */
  readonly code: number
  readonly reason: string
  /** This side ended it. */
  readonly byUs: boolean
  /** This side ended it because of what was read. */
  readonly fault?: FaultReason | undefined
}

export interface ConnectionOptions {
  readonly clock: Clock
  /** With `v`, `encoding` and `compress`. */
  readonly url: string
  /** undefined: payloads come as they are. */
  readonly codec: Codec | undefined
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
  #byUs: Omit<Closed, 'byUs'> | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { clock, url, codec, handshakeTimeoutMs } = options
    const payload: OnPayload = (bytes, from, to) => this.#payload(bytes, from, to)
    const inflater =
      codec && createInflater(codec, payload, (error) => this.#fault(error, 'compression', error.message))
    this.#inflater = inflater
    this.#client = new WebSocketClient({
      url,
      clock,
      handshakeTimeoutMs,
      maxBytes: FROM_GATEWAY.payloadBytes,
      onOpen: () => this.#opened(),
      onMessage: inflater
        ? (bytes, from, to, binary) => (binary ? inflater.write(bytes, from, to) : payload(bytes, from, to))
        : payload,
      onClosed: (code, reason, broken) => this.#closed(code, reason, broken),
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
    this.#leave({ code, reason })
  }

  #leave(byUs: Omit<Closed, 'byUs'>): void {
    if (this.#over) return
    this.#over = true
    this.#byUs = byUs
    this.#client.close(byUs.code, byUs.reason)
  }

  /** What was read cannot be used. 4000: the session lives on, and everything that was not read comes again. */
  #fault(error: unknown, otherwise: FaultReason, reason: string): void {
    this.#leave({ code: 4000, reason, fault: faultReason(error, otherwise) })
  }

  #opened(): void {
    if (!this.#over) this.#options.onOpen()
  }

  #payload(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return
    try {
      this.#options.onPayload(bytes, from, to)
    } catch (error) {
      // What JSON.parse says quotes the payload.
      const why = error instanceof GatewayFault ? error.message : error instanceof Error ? error.name : 'error'
      this.#fault(error, 'payload', `unreadable payload: ${why}`)
    }
  }

  #closed(code: number, reason: string, broken: FrameError | undefined): void {
    this.#over = true
    this.#inflater?.close()
    const byUs = this.#byUs ?? (broken && byFrame(broken))
    this.#options.onClosed({ ...(byUs ?? { code, reason }), byUs: byUs !== undefined })
  }
}

/** The WebSocket has closed itself over a frame. */
const byFrame = ({ code, message }: FrameError): Omit<Closed, 'byUs'> => ({
  code,
  reason: message,
  fault: code === CloseCode.TooBig ? 'size' : 'frame',
})

const READY_STATE_OPEN = 1
const READY_STATE_CLOSED = 3
