import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { REST_PROXY } from '../limits.ts'
import type { Claim } from './budget.ts'

/** A body has more bytes than the proxy takes. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError'
  readonly statusCode = 413
}

/** There is no room for a request now; there will be. */
export class ProxyFullError extends Error {
  override readonly name = 'ProxyFullError'
  readonly statusCode = 503
}

/** The caller hung up before its body was here. */
export class CallerGoneError extends Error {
  override readonly name = 'CallerGoneError'
  readonly statusCode = 499
}

/**
 * Reads a request's body, which is counted before it is kept: all of it at once where its length is told.
 * Throws a BodyTooLargeError, ProxyFullError or CallerGoneError; the rest of the body is then unread.
 */
export async function readBody(request: IncomingMessage, limit: number, claim: Claim): Promise<Buffer | undefined> {
  const told = request.headers['content-length']
  if (told === '0' || (told === undefined && request.headers['transfer-encoding'] === undefined)) return undefined
  const body = told === undefined ? new GrowingBody(limit, claim) : new ToldBody(Number(told), limit, claim)
  // The socket must outlive this loop, whichever way it is left: the answer goes through it.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  for await (const chunk of untilGone(chunks)) body.push(chunk)
  return body.end()
}

/** What a request that breaks off throws has many names. */
async function* untilGone(chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  try {
    yield* chunks
  } catch (cause) {
    throw new CallerGoneError('the caller hung up', { cause })
  }
}

/** A body whose length was told: its memory is taken once, and filled. */
class ToldBody {
  readonly #bytes: Buffer
  #filled = 0

  constructor(length: number, limit: number, claim: Claim) {
    if (length > limit) throw tooLarge(limit)
    if (!claim.take(length)) throw full()
    this.#bytes = Buffer.allocUnsafeSlow(length)
  }

  push(chunk: Buffer): void {
    this.#filled += chunk.copy(this.#bytes, this.#filled)
  }

  end(): Buffer {
    // Node ends no request before its length is reached; memory that nobody filled would go to Discord.
    return this.#bytes.subarray(0, this.#filled)
  }
}

/** A body that comes in pieces until it ends. */
class GrowingBody {
  readonly #limit: number
  readonly #bytes: Gathering

  constructor(limit: number, claim: Claim) {
    this.#limit = limit
    this.#bytes = new Gathering(claim)
  }

  push(chunk: Buffer): void {
    if (this.#bytes.length + chunk.length > this.#limit) throw tooLarge(this.#limit)
    if (!this.#bytes.push(chunk)) throw full()
  }

  end(): Buffer {
    return this.#bytes.end()
  }
}

/**
 * Bytes that come in pieces, in memory of their own. A list of the pieces would keep far more: each holds what it was
 * read with, up to 64 KB for a single byte.
 */
class Gathering {
  readonly #claim: Claim
  #bytes = Buffer.alloc(0)
  #length = 0

  constructor(claim: Claim) {
    this.#claim = claim
  }

  get length(): number {
    return this.#length
  }

  /** @returns whether there was room for it; if not, nothing of it was taken. */
  push(chunk: Buffer): boolean {
    const needed = this.#length + chunk.length
    if (needed > this.#bytes.length && !this.#grow(needed)) return false
    chunk.copy(this.#bytes, this.#length)
    this.#length = needed
    return true
  }

  end(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Twice as much each time, so that little is copied often; while it is copied both are there. */
  #grow(needed: number): boolean {
    const capacity = Math.max(needed, 2 * this.#bytes.length)
    if (!this.#claim.take(capacity)) return false
    const bytes = Buffer.allocUnsafeSlow(capacity)
    this.#bytes.copy(bytes, 0, 0, this.#length)
    this.#claim.add(-this.#bytes.length)
    this.#bytes = bytes
    return true
  }
}

const tooLarge = (limit: number) => new BodyTooLargeError(`The body has more than ${limit} bytes.`)
const full = () => new ProxyFullError('Too many bytes are under way in the proxy; try again later.')

/**
 * Reads an answer whole while it is short and there is room: then its caller learns if it breaks off, and the
 * connection to Discord is free. A longer one comes as a stream, which reads no more than its own reader takes.
 */
export async function readAnswer(body: Readable, claim: Claim): Promise<Buffer | Readable> {
  const start = new Gathering(claim)
  const rest = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (;;) {
    const { done, value } = await rest.next()
    if (done) return start.end()
    if (start.length + value.length <= REST_PROXY.heldAnswerBytes && start.push(value)) continue
    // It is here already, and Discord has acted: no reason to refuse it.
    claim.add(Math.max(value.length, REST_PROXY.heldAnswerBytes - start.length))
    const answer = Readable.from(flow(start, value, rest), { objectMode: false })
    // When its caller is gone, or it is not wanted, Discord's part has no reader.
    return answer.once('close', () => body.destroy())
  }
}

async function* flow(start: Gathering, next: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  // An empty piece would be the end for whoever reads.
  if (start.length > 0) yield start.end()
  yield next
  for (let more = await rest.next(); !more.done; more = await rest.next()) yield more.value
}
