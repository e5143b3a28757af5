import type { HttpEndpoint } from './http-endpoint.ts'
import { inShardOrder } from './in-shard-order.ts'
import { type Publisher, type PublishResult, Refused } from './publisher.ts'
import type { Slab } from './slab.ts'

/** Requests of one lane at a time. */
export const REQUESTS_OF_A_LANE = 16

/** Posts one event a request as JSON, `{"workerId":0,"shardId":7,"payload":…}`. Any 2xx confirms it. */
export class HttpEventPublisher implements Publisher {
  readonly indexed = true
  readonly #endpoint: HttpEndpoint

  constructor(endpoint: HttpEndpoint) {
    this.#endpoint = endpoint
  }

  async publish(slab: Slab): Promise<PublishResult> {
    const failure = await inShardOrder(slab, REQUESTS_OF_A_LANE, async (i) => {
      const result = await this.#endpoint.post(slab.event(i))
      if (result.kind === 'too-large') throw new Refused({ ...result, kind: 'failed' })
      if (result.kind !== 'acknowledged') throw new Refused(result)
    })
    if (failure === undefined) return { kind: 'acknowledged' }
    if (failure.error instanceof Refused) return failure.error.refusal
    throw failure.error
  }

  close(): Promise<void> {
    return this.#endpoint.close()
  }
}
