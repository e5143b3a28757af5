import type { Socket } from 'node:net'

/** Frames that leave together are put together in memory of so many bytes, which goes round. */
const SLAB_BYTES = 256 * 1024
/** What fills less than this is copied, so that a client that does not read holds no whole slab. */
const LITTLE_BYTES = SLAB_BYTES / 16
/** Slabs that are kept for the next batch: as many as 16 connections have in flight when all are behind. */
const MOST_SPARE = 64
/** The longest header of a frame that is not masked (RFC 6455, section 5.2). */
const MOST_HEADER_BYTES = 10

const FIN_TEXT = 0x81
const FIN_BINARY = 0x82
const LENGTH_16 = 126
const LENGTH_64 = 127

/** Shared by all connections: a batch is made and handed over in one go. */
const spare: Buffer[] = []

/**
 * Writes whole messages, many at once. `ws` hands each to the socket by itself; with thousands of events a tick that
 * cost more than to make them up, and their garbage made pauses that looked like the client's.
 */
export class FrameBatch {
  readonly #socket: Socket
  #slab: Buffer | undefined
  #end = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Bytes that wait for flush(). */
  get pendingBytes(): number {
    return this.#end
  }

  /** Adds one message: `head` (ASCII), then `payload`. */
  add(payload: Buffer, head: string, binary: boolean): void {
    const length = head.length + payload.length
    const most = MOST_HEADER_BYTES + length
    if (this.#end + most > SLAB_BYTES) this.flush()
    this.#slab ??=
      most > SLAB_BYTES ? Buffer.allocUnsafeSlow(most) : (spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES))
    this.#end = writeHeader(this.#slab, this.#end, length, binary)
    this.#end += this.#slab.write(head, this.#end, 'latin1')
    this.#end += payload.copy(this.#slab, this.#end)
  }

  /** Hands everything to the socket. */
  flush(): void {
    const slab = this.#slab
    if (slab === undefined) return
    const bytes = slab.subarray(0, this.#end)
    this.#slab = undefined
    this.#end = 0
    if (bytes.length >= LITTLE_BYTES) this.#socket.write(bytes, () => give(slab))
    else {
      this.#socket.write(Buffer.from(bytes))
      give(slab)
    }
  }
}

function give(slab: Buffer): void {
  if (slab.length === SLAB_BYTES && spare.length < MOST_SPARE) spare.push(slab)
}

/** @returns where the payload begins. */
function writeHeader(slab: Buffer, at: number, length: number, binary: boolean): number {
  slab[at] = binary ? FIN_BINARY : FIN_TEXT
  if (length < LENGTH_16) {
    slab[at + 1] = length
    return at + 2
  }
  if (length <= 0xffff) {
    slab[at + 1] = LENGTH_16
    return slab.writeUInt16BE(length, at + 2)
  }
  slab[at + 1] = LENGTH_64
  slab.writeUInt32BE(0, at + 2)
  return slab.writeUInt32BE(length, at + 6)
}
