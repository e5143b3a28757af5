import type { HttpEndpoint } from './http-endpoint.ts'
import type { Publisher, PublishResult } from './publisher.ts'
import type { Slab } from './slab.ts'

/**
 * Posts slabs as they are, newline-delimited JSON: `{"workerId":0,"shardId":7,"payload":<as Discord sent it>}` a line.
 * Any 2xx confirms what was posted.
 */
export class HttpBatchPublisher implements Publisher {
  readonly indexed = false
  readonly #endpoint: HttpEndpoint

  constructor(endpoint: HttpEndpoint) {
    this.#endpoint = endpoint
  }

  async publish(slab: Slab): Promise<PublishResult> {
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

  close(): Promise<void> {
    return this.#endpoint.close()
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
