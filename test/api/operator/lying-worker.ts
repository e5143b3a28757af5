import { createServer, type Server, type ServerResponse } from 'node:http'
import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import type { PodWorker } from './pod-worker.ts'

/** What a tenant's own image may say to the operator. */
export type Lie = 'line without end' | 'shards that do not exist' | 'refusals of 15 MB'

const MB = 1_024 * 1_024
const HEAD = { type: 'SNAPSHOT', workerId: 0, bootId: 'liar', epoch: 0, draining: false, sinks: [], shards: [] }
const SHARDS = Array.from({ length: 20_000 }, (_, i) => ({ shardId: 50_000 + i, state: 'Connected' }))

/** A worker that says what it likes, as much as it likes, as fast as it is taken. */
export class LyingWorker implements PodWorker {
  readonly #server: Server
  readonly #lie: Lie
  /** Bytes that it got rid of. */
  sent = 0

  private constructor(lie: Lie) {
    this.#lie = lie
    this.#server = createServer((request, response) => {
      request.resume()
      if (request.method === 'POST') this.#answer(response)
      else this.#stream(response)
    })
  }

  static async start(host: string, lie: Lie): Promise<LyingWorker> {
    const worker = new LyingWorker(lie)
    await new Promise<void>((resolve) => worker.#server.listen(SHARDER_PORT, host, resolve))
    return worker
  }

  async held(): Promise<readonly number[]> {
    return []
  }

  drain(): Promise<void> {
    return this.crash()
  }

  async crash(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(response: ServerResponse): void {
    const message = this.#lie === 'refusals of 15 MB' ? 'x'.repeat(15 * MB) : 'no'
    response.writeHead(409).end(JSON.stringify({ status: 409, code: 'STALE_EPOCH', message }))
  }

  #stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.write(`${JSON.stringify(HEAD)}\n`)
    if (this.#lie === 'refusals of 15 MB') return
    const part =
      this.#lie === 'line without end'
        ? Buffer.alloc(64 * 1_024, 'x')
        : Buffer.from(`${JSON.stringify({ type: 'DELTA', shards: SHARDS, gone: [] })}\n`)
    const more = () => {
      while (!response.destroyed) {
        this.sent += part.length
        if (!response.write(part)) return void response.once('drain', more)
      }
    }
    more()
  }
}
