import { createHash, randomBytes } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { FROM_GATEWAY } from '../../../src/limits.ts'

/** From RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export interface Upgrade {
  /** Takes what was read from the socket until onDone. The bytes are copied. */
  read(bytes: Buffer, length: number): void
  /** Gives up: onDone is not called any more. */
  cancel(): void
}

/**
 * Asks for a WebSocket over `socket`, which may still be connecting (RFC 6455, section 4.1). `onDone` gets the bytes that
 * came behind the answer, or why there is no WebSocket.
 *
 * HTTP is node:http's: it has seen every answer that servers and proxies give. It is kept away from the socket, though,
 * which reads into memory shared by all of a thread: it gets a stream of its own that lives as long as the handshake,
 * and nothing of it remains in an open connection.
 */
export function upgrade(socket: Socket, url: URL, onDone: (result: Buffer | Error) => void): Upgrade {
  const wire = new Wire(socket)
  const key = randomBytes(16).toString('base64')
  const asked = request({
    createConnection: () => wire,
    maxHeaderSize: FROM_GATEWAY.upgradeHeaderBytes,
    path: url.pathname + url.search,
    headers: {
      host: url.host,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': key,
    },
  })
  let over = false
  const done = (result: Buffer | Error) => {
    if (over) return
    over = true
    onDone(result)
  }
  // Whoever gave up hears of no error, but it must have a listener.
  asked.on('error', done)
  asked.on('response', ({ statusCode }) => done(new Error(`Unexpected server response: ${statusCode}`)))
  asked.on('upgrade', (response, _wire, head: Buffer) => {
    const why = refusal(response, key)
    done(why === undefined ? Buffer.concat([head, wire.rest()]) : new Error(why))
  })
  asked.end()
  return {
    read: (bytes, length) => wire.push(Buffer.from(bytes.subarray(0, length))),
    cancel() {
      over = true
      asked.destroy()
    },
  }
}

/** A socket as node:http sees it: what is written goes to the real one, what is read is pushed from outside. */
class Wire extends Duplex {
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    this.#socket = socket
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  /** What was pushed and not read. */
  rest(): Buffer {
    return (this.read() as Buffer | null) ?? Buffer.alloc(0)
  }
}

/** Why this answer of 101 opens no WebSocket that was asked for (RFC 6455, section 4.1), or undefined. */
function refusal({ statusCode, headers }: IncomingMessage, key: string): string | undefined {
  if (statusCode !== 101) return `Unexpected server response: ${statusCode}`
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'the server upgraded to something else'
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64')
  if (headers['sec-websocket-accept'] !== accept) return 'the server answered with a wrong Sec-WebSocket-Accept'
  if (headers['sec-websocket-extensions'] !== undefined) return 'the server chose an extension that was not offered'
  if (headers['sec-websocket-protocol'] !== undefined) return 'the server chose a subprotocol that was not offered'
  return undefined
}
