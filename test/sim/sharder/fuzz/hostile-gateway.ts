import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Random } from '../../../support/random.ts'
import type { Fault } from './fault.ts'
import { HostileLink } from './hostile-link.ts'
import { SentEvents } from './sent-events.ts'
import type { Compress } from './wire.ts'

/** What is in store for one shard, and what it was sent. */
export class ShardScript {
  /** The first is played next. */
  readonly faults: Fault[] = []
  readonly sent = new SentEvents()
  /** Played with the next connection. */
  onHello: Fault | undefined
  onResumed: Fault | undefined
  /** What is sent in place of READY. */
  onReady: ((ready: Buffer) => readonly (Buffer | string)[]) | undefined

  get over(): boolean {
    return this.faults.length === 0 && !this.onHello && !this.onResumed
  }
}

/**
 * A gateway between the simulated Discord and a worker, which passes everything on and does to each shard what its script
 * says. It compresses by itself, so that faults are made of payloads and not of luck.
 */
export class HostileGateway {
  readonly #http = createServer()
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  readonly #links = new Set<HostileLink>()
  readonly #scripts = new Map<number, ShardScript>()
  /** ws: URL of the simulated Discord. */
  upstream = ''
  url = ''
  readonly random: Random

  constructor(random: Random) {
    this.random = random
    this.#http.on('upgrade', (request, socket, head) => {
      const url = new URL(request.url ?? '/', this.url)
      this.#sockets.handleUpgrade(request, socket, head, (client) => {
        const compress = (url.searchParams.get('compress') ?? 'none') as Compress
        const link = new HostileLink(this, client, socket as Socket, { shard: url.searchParams.get('shard'), compress })
        this.#links.add(link)
        client.on('close', () => this.#links.delete(link))
      })
    })
  }

  async start(): Promise<this> {
    this.#http.listen(0, '127.0.0.1')
    await once(this.#http, 'listening')
    this.url = `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}`
    return this
  }

  script(shardId: number): ShardScript {
    const script = this.#scripts.get(shardId) ?? new ShardScript()
    this.#scripts.set(shardId, script)
    return script
  }

  /** Where a shard resumes: the URL tells it before it has said a word. */
  resumeUrl(shardId: number): string {
    return `${this.url}/?shard=${shardId}`
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.end()
    this.#sockets.close()
    this.#http.close()
    this.#http.closeAllConnections()
  }
}
