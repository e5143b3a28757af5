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
  readonly #claim: Claim
  readonly #chunks: Buffer[] = []
  #length = 0

  constructor(limit: number, claim: Claim) {
    this.#limit = limit
    this.#claim = claim
  }

  push(chunk: Buffer): void {
    this.#length += chunk.length
    if (this.#length > this.#limit) throw tooLarge(this.#limit)
    if (!this.#claim.take(chunk.length)) throw full()
    this.#chunks.push(chunk)
  }

  end(): Buffer {
    return Buffer.concat(this.#chunks, this.#length)
  }
}

const tooLarge = (limit: number) => new BodyTooLargeError(`The body has more than ${limit} bytes.`)
const full = () => new ProxyFullError('Too many bytes are under way in the proxy; try again later.')

/**
 * Reads an answer whole while it is short and there is room: then its caller learns if it breaks off, and the
 * connection to Discord is free. A longer one comes as a stream, which reads no more than its own reader takes.
 */
export async function readAnswer(body: Readable, claim: Claim): Promise<Buffer | Readable> {
  const chunks: Buffer[] = []
  const rest = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (let length = 0; ; ) {
    const { done, value } = await rest.next()
    if (done) return Buffer.concat(chunks)
    chunks.push(value)
    length += value.length
    if (length <= REST_PROXY.heldAnswerBytes && claim.take(value.length)) continue
    // It is here already, and Discord has acted: no reason to refuse it.
    claim.add(Math.max(value.length, REST_PROXY.heldAnswerBytes - (length - value.length)))
    const answer = Readable.from(flow(chunks, rest), { objectMode: false })
    // When its caller is gone, or it is not wanted, Discord's part has no reader.
    return answer.once('close', () => body.destroy())
  }
}

async function* flow(chunks: Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) yield chunk
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
