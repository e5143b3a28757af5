import { LANES } from './buffered-sink.ts'
import type { HttpEndpoint } from './http-endpoint.ts'
import type { PostResult } from './http-post.ts'
import type { Publisher, PublishResult } from './publisher.ts'
import { SLAB_BYTES, type Slab } from './slab.ts'

/** Slabs up to this size go together: one of each lane is a batch of the usual size then, in bytes. */
const LITTLE_BYTES = SLAB_BYTES / LANES

/** Slabs that go in one request. */
interface Together {
  readonly slabs: Slab[]
  /** undefined: there is but one, and nothing was posted. */
  readonly result: Promise<PostResult | undefined>
}

/**
 * Posts slabs as they are, newline-delimited JSON: `{"workerId":0,"shardId":7,"payload":<as Discord sent it>}` a line.
 * Any 2xx confirms what was posted. Little ones that are published in the same turn share a request: a request costs as
 * much as a hundred events.
 */
export class HttpBatchPublisher implements Publisher {
  readonly indexed = false
  readonly #endpoint: HttpEndpoint
  #together: Together | undefined
  /** Memory that slabs are joined in; it goes round as theirs does. Two requests at most have two slabs or more. */
  readonly #spare: Buffer[] = []

  constructor(endpoint: HttpEndpoint) {
    this.#endpoint = endpoint
  }

  async publish(slab: Slab): Promise<PublishResult> {
    if (slab.body.length > LITTLE_BYTES) return this.#alone(slab)
    this.#together ??= this.#begin()
    const { slabs, result } = this.#together
    slabs.push(slab)
    const posted = await result
    if (posted === undefined || posted.kind === 'too-large') return this.#alone(slab)
    if (posted.kind === 'acknowledged') slab.confirmBytes(slab.body.length)
    return posted
  }

  close(): Promise<void> {
    return this.#endpoint.close()
  }

  /** Waits for the end of the turn, and posts what has come together if it is more than one slab. */
  #begin(): Together {
    const slabs: Slab[] = []
    const result = Promise.resolve().then(() => {
      this.#together = undefined
      return slabs.length === 1 ? undefined : this.#joined(slabs)
    })
    return { slabs, result }
  }

  async #joined(slabs: readonly Slab[]): Promise<PostResult> {
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(LANES * LITTLE_BYTES)
    let end = 0
    for (const { body } of slabs) end += body.copy(memory, end)
    const result = await this.#endpoint.post(memory.subarray(0, end))
    // Of a request that failed some may still be on its way.
    if (result.kind === 'acknowledged') this.#spare.push(memory)
    return result
  }

  async #alone(slab: Slab): Promise<PublishResult> {
    let most = slab.body.length
    while (slab.body.length > 0) {
      const body = linesOf(slab.body, most)
      const result = await this.#endpoint.post(body)
      if (result.kind === 'acknowledged') slab.confirmBytes(body.length)
      else if (result.kind !== 'too-large') return result
      else {
        // The answer came before all of the body had left.
        slab.tainted = true
        const half = middleOf(body)
        if (half === undefined) return { ...result, kind: 'failed' }
        most = half
      }
    }
    return { kind: 'acknowledged' }
  }
}

/** Where the second half of the lines begins; undefined for a single line. */
function middleOf(body: Buffer): number | undefined {
  const after = body.indexOf(10, body.length >> 1) + 1
  if (after > 0 && after < body.length) return after
  const before = body.lastIndexOf(10, Math.max(0, (body.length >> 1) - 1)) + 1
  return before > 0 ? before : undefined
}

/** The lines at the beginning of `body` that fit in `most` bytes, but at least one. */
function linesOf(body: Buffer, most: number): Buffer {
  if (body.length <= most) return body
  const end = body.lastIndexOf(10, most - 1) + 1
  return body.subarray(0, end > 0 ? end : body.indexOf(10) + 1)
}
