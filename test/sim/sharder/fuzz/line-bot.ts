import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { digest } from './sent-events.ts'

const PREFIX = /^\{"workerId":0,"shardId":(\d+),"payload":/

/** A bot that looks at lines and bytes only, so that what is no JSON is judged like everything else. */
export class LineBot {
  /** Digests of each shard's payloads, in the order in which they came. */
  readonly received = new Map<number, string[]>()
  /** Lines that are not even framed as an event. */
  readonly strange: string[] = []
  readonly #server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    this.#keep(Buffer.concat(parts))
    response.writeHead(204).end()
  })
  url = ''

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
    return this
  }

  of(shardId: number): string[] {
    const known = this.received.get(shardId) ?? []
    this.received.set(shardId, known)
    return known
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #keep(body: Buffer): void {
    for (let at = 0, end: number; at < body.length; at = end + 1) {
      end = body.indexOf(10, at)
      if (end < 0) end = body.length
      const prefix = PREFIX.exec(body.toString('latin1', at, Math.min(end, at + 60)))
      if (prefix === null || body[end - 1] !== 125)
        this.strange.push(body.toString('utf8', at, Math.min(end, at + 200)))
      else this.of(Number(prefix[1])).push(digest(body.subarray(at + prefix[0].length, end - 1)))
    }
  }
}
