import { HeldBytes } from './held-bytes.ts'
import { CloseCode, FrameError, MAX_CONTROL_BYTES, Opcode } from './protocol.ts'

/** What is read. Bytes [from, to) are valid during the call only. */
export interface FrameListener {
  /** A whole message, however many frames it came in. */
  message(bytes: Buffer, from: number, to: number, binary: boolean): void
  /** A close, ping or pong frame, possibly in the middle of a message. */
  control(opcode: number, bytes: Buffer, from: number, to: number): void
}

const FIN = 0x80
const RESERVED_BITS = 0x70
const MASKED = 0x80
/** Lengths from here on take two bytes, and beyond 64 KB eight. */
const TWO_BYTES = 126
const EIGHT_BYTES = 127

/**
 * Reads the frames of a server (RFC 6455, section 5) out of whatever pieces its bytes come in.
 *
 * A frame that lies in one piece is passed on where it lies, without a copy and without an object: a hundred thousand
 * of them come each second. What is cut off at the end of a piece is copied, once. Text is not checked to be UTF-8:
 * whoever parses it will notice.
 */
export class FrameReader {
  readonly #listener: FrameListener
  readonly #maxBytes: number
  /** The start of a frame. */
  readonly #partial = new HeldBytes()
  /** What has come of a message in several frames. */
  readonly #message = new HeldBytes()
  /** The opcode of the message in several frames; Continuation: there is none. */
  #fragmented: number = Opcode.Continuation
  /** Length of the head of the frame that frameEnd() looked at last. */
  #headBytes = 0
  #stopped = false

  /** `maxBytes`: the longest message that is taken. */
  constructor(listener: FrameListener, maxBytes: number) {
    this.#listener = listener
    this.#maxBytes = maxBytes
  }

  /**
   * Takes the next bytes, [from, to); they are the caller's again afterwards.
   * @throws FrameError when they break a rule; nothing more is read then.
   */
  read(bytes: Buffer, from: number, to: number): void {
    if (this.#stopped) return
    try {
      let at = this.#partial.length === 0 ? from : this.#complete(bytes, from, to)
      while (at < to && !this.#stopped) {
        const end = this.#frameEnd(bytes, at, to)
        if (end > to) {
          this.#partial.append(bytes, at, to)
          return
        }
        this.#take(bytes, at, end)
        at = end
      }
    } catch (error) {
      this.stop()
      throw error
    }
  }

  /** Nothing is read or passed on from now on, not even what was given to read() already. */
  stop(): void {
    this.#stopped = true
    this.#partial.clear()
    this.#message.clear()
  }

  /** Adds to the frame whose start is held, and passes it on when it is whole. @returns where the next one begins. */
  #complete(bytes: Buffer, from: number, to: number): number {
    const partial = this.#partial
    let at = from
    for (let end: number; ; ) {
      end = this.#frameEnd(partial.bytes, 0, partial.length)
      if (end <= partial.length) break
      if (at === to) return to
      const until = Math.min(to, at + end - partial.length)
      partial.append(bytes, at, until)
      at = until
    }
    this.#take(partial.bytes, 0, partial.length)
    partial.clear()
    return at
  }

  /** @returns where the frame at `at` ends; when its head is not there yet, where the head ends at the earliest. */
  #frameEnd(b: Buffer, at: number, to: number): number {
    if (to - at < 2) return at + 2
    const second = b[at + 1] as number
    this.#check(b[at] as number, second)
    let length = second
    this.#headBytes = 2
    if (length === TWO_BYTES) {
      this.#headBytes = 4
      if (to - at < 4) return at + 4
      length = b.readUInt16BE(at + 2)
      if (length < TWO_BYTES) throw notMinimal()
    } else if (length === EIGHT_BYTES) {
      this.#headBytes = 10
      if (to - at < 10) return at + 10
      length = longLength(b, at + 2)
    }
    if (length > this.#maxBytes) throw this.#tooBig()
    return at + this.#headBytes + length
  }

  /** Everything that the first two bytes of a frame tell (RFC 6455, sections 5.1, 5.2, 5.4 and 5.5). */
  #check(first: number, second: number): void {
    if ((first & RESERVED_BITS) !== 0) throw broken('a reserved bit is set, and no extension was agreed on')
    if (second >= MASKED) throw broken('a server must not mask its frames')
    const opcode = first & 0x0f
    if (opcode === Opcode.Text || opcode === Opcode.Binary) {
      if (this.#fragmented !== Opcode.Continuation) throw broken('a message began before the last one had ended')
    } else if (opcode === Opcode.Continuation) {
      if (this.#fragmented === Opcode.Continuation) throw broken('a continuation of no message')
    } else if (opcode > Opcode.Pong || opcode < Opcode.Close) {
      throw broken(`opcode ${opcode} is reserved`)
    } else {
      if (first < FIN) throw broken('a control frame must not be fragmented')
      if (second > MAX_CONTROL_BYTES) throw broken(`a control frame is longer than ${MAX_CONTROL_BYTES} bytes`)
    }
  }

  /** Passes on the whole frame at [at, end), whose head frameEnd() has just read. */
  #take(b: Buffer, at: number, end: number): void {
    const first = b[at] as number
    const opcode = first & 0x0f
    const body = at + this.#headBytes
    if (opcode >= Opcode.Close) this.#listener.control(opcode, b, body, end)
    else if (first === (FIN | opcode) && opcode !== Opcode.Continuation)
      this.#listener.message(b, body, end, opcode === Opcode.Binary)
    else this.#fragment(b, body, end, opcode, first >= FIN)
  }

  #fragment(b: Buffer, from: number, to: number, opcode: number, last: boolean): void {
    const message = this.#message
    if (opcode !== Opcode.Continuation) this.#fragmented = opcode
    if (message.length + to - from > this.#maxBytes) throw this.#tooBig()
    message.append(b, from, to)
    if (!last) return
    const binary = this.#fragmented === Opcode.Binary
    this.#fragmented = Opcode.Continuation
    this.#listener.message(message.bytes, 0, message.length, binary)
    message.clear()
  }

  #tooBig(): FrameError {
    return new FrameError(CloseCode.TooBig, `a message is longer than ${this.#maxBytes} bytes`)
  }
}

const broken = (why: string): FrameError => new FrameError(CloseCode.ProtocolError, why)
const notMinimal = (): FrameError => broken('a length takes more bytes than it needs')

/** The eight bytes at `at`, which no number holds exactly beyond 2^53: that is too big in any case. */
function longLength(b: Buffer, at: number): number {
  const high = b.readUInt32BE(at)
  const low = b.readUInt32BE(at + 4)
  if (high >= 0x8000_0000) throw broken('the first bit of a length must be 0')
  if (high === 0 && low <= 0xffff) throw notMinimal()
  return high * 0x1_0000_0000 + low
}
