import type { Socket } from 'node:net'
import type { Cancel, Clock } from '../../../src/support/clock.ts'
import { dial } from './dial.ts'
import { type FrameListener, FrameReader } from './frame-reader.ts'
import { clientFrame, closeFrame } from './frame-writer.ts'
import { type Upgrade, upgrade } from './handshake.ts'
import { CloseCode, FrameError, isSendable, Opcode } from './protocol.ts'

export interface ClientOptions {
  /** ws: or wss:. */
  readonly url: string
  readonly clock: Clock
  /** TCP, TLS and the upgrade, in milliseconds. */
  readonly handshakeTimeoutMs: number
  /** The longest message that is taken, in bytes. */
  readonly maxBytes: number
  readonly onOpen: () => void
  readonly onMessage: FrameListener['message']
  /**
   * Called exactly once, when the socket is gone. `code`: of the peer's close frame, 1005 when it had none, 1006 when
   * there was no close frame. `reason`: the peer's, or else what went wrong. `broken`: why this side closed, if it was
   * over a frame.
   */
  readonly onClosed: (code: number, reason: string, broken?: FrameError) => void
}

/** How long a peer may take to end a connection that is being closed, in milliseconds. */
const CLOSE_PATIENCE_MS = 1_000
/** Pings are not answered while so many bytes wait to be sent. */
const MOST_UNSENT_BYTES = 64 * 1024

/**
 * One WebSocket to a server (RFC 6455), without extensions. It has no events, no queue and no memory of its own for
 * what it reads: hundreds of them are idle in a process, and all of them together are read from a lot.
 */
export class WebSocketClient {
  readonly #options: ClientOptions
  readonly #socket: Socket
  readonly #reader: FrameReader
  #upgrade: Upgrade | undefined
  #state: 'connecting' | 'open' | 'closing' | 'closed' = 'connecting'
  #paused = false
  #code: number = CloseCode.Abnormal
  #reason = ''
  #broken: FrameError | undefined
  /** Of the handshake, then of the close. */
  #cancelTimer: Cancel

  constructor(options: ClientOptions) {
    this.#options = options
    const { clock, handshakeTimeoutMs, maxBytes, onMessage } = options
    const url = new URL(options.url)
    this.#reader = new FrameReader({ message: onMessage, control: (...frame) => this.#control(...frame) }, maxBytes)
    this.#socket = dial(url, (bytes, length) => this.#read(bytes, length))
    // An error is always followed by a close, which is what counts.
    this.#socket.on('error', (error) => {
      this.#reason ||= error.message
    })
    this.#socket.on('close', () => this.#closed())
    this.#upgrade = upgrade(this.#socket, url, (result) => this.#upgraded(result))
    this.#cancelTimer = clock.after(handshakeTimeoutMs, () => this.#abort('Opening handshake has timed out'))
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  send(text: string): void {
    if (this.open) this.#socket.write(clientFrame(Opcode.Text, Buffer.from(text)))
  }

  /**
   * Stops reading until resume(). What was read already is still passed on; what was not waits in the kernel, so that
   * the sender feels it. A handshake is finished nonetheless.
   */
  pause(): void {
    this.#paused = true
    if (this.open) this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.open) this.#socket.resume()
  }

  /** Says goodbye and waits for the peer's answer, for a second at most. Messages may come until onClosed. */
  close(code: number, reason: string): void {
    if (this.#state === 'connecting') this.#abort('closed before it was open')
    else if (this.#state === 'open') this.#leave(closeFrame(code, reason))
  }

  #upgraded(result: Buffer | Error): void {
    if (this.#state !== 'connecting') return
    if (result instanceof Error) {
      this.#abort(result.message)
      return
    }
    this.#upgrade = undefined
    this.#cancelTimer()
    // A timer that has gone would stay with the connection otherwise.
    this.#cancelTimer = () => {}
    this.#state = 'open'
    if (this.#paused) this.#socket.pause()
    this.#options.onOpen()
    this.#frames(result, result.length)
  }

  #read(bytes: Buffer, length: number): void {
    if (this.#upgrade === undefined) this.#frames(bytes, length)
    else this.#upgrade.read(bytes, length)
  }

  #frames(bytes: Buffer, length: number): void {
    try {
      this.#reader.read(bytes, 0, length)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#reason ||= error.message
      if (this.open) {
        this.#broken = error
        this.#leave(closeFrame(error.code, error.message))
      }
      this.#socket.end()
    }
  }

  #control(opcode: number, bytes: Buffer, from: number, to: number): void {
    if (opcode === Opcode.Close) this.#closeFrame(bytes, from, to)
    // A peer that asks faster than it reads the answers gets fewer of them.
    else if (opcode === Opcode.Ping && this.open && this.#socket.writableLength < MOST_UNSENT_BYTES)
      this.#socket.write(clientFrame(Opcode.Pong, bytes.subarray(from, to)))
  }

  /** The peer closes, or answers our close: nothing follows in either direction. */
  #closeFrame(bytes: Buffer, from: number, to: number): void {
    if (to - from === 1) throw new FrameError(CloseCode.ProtocolError, 'a close frame of one byte')
    const code = to === from ? undefined : bytes.readUInt16BE(from)
    if (code !== undefined && !isSendable(code)) throw new FrameError(CloseCode.ProtocolError, `close code ${code}`)
    this.#reader.stop()
    this.#code = code ?? CloseCode.NoStatus
    this.#reason = bytes.toString('utf8', Math.min(from + 2, to), to)
    if (this.open) this.#leave(closeFrame(code))
    this.#socket.end()
  }

  /** Sends the last frame. From now on the peer has a second to end the connection. */
  #leave(lastFrame: Buffer): void {
    this.#state = 'closing'
    // A paused socket never reads the answer, nor the end.
    this.#socket.resume()
    this.#socket.write(lastFrame)
    this.#cancelTimer = this.#options.clock.after(CLOSE_PATIENCE_MS, () => this.#socket.destroy())
  }

  #abort(why: string): void {
    this.#reason ||= why
    this.#upgrade?.cancel()
    this.#socket.destroy()
  }

  #closed(): void {
    if (this.#state === 'connecting') this.#reason ||= 'the connection ended during the handshake'
    this.#state = 'closed'
    this.#cancelTimer()
    this.#upgrade?.cancel()
    this.#reader.stop()
    this.#options.onClosed(this.#code, this.#reason, this.#broken)
  }
}
