import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { Fault } from './fault.ts'
import type { HostileGateway, ShardScript } from './hostile-gateway.ts'
import { type Compress, Wire } from './wire.ts'

interface Head {
  readonly op: number
  readonly t: string | null
  readonly s: number | null
}

/** Events between two faults of a connection. */
const FEWEST = 2
const MOST = 12

/** One connection of a worker, and the connection to Discord behind it. */
export class HostileLink {
  readonly #gateway: HostileGateway
  readonly #client: WebSocket
  readonly #upstream: WebSocket
  readonly #wire: Wire
  /** undefined: it has not said who it is. */
  #shardId: number | undefined
  #live = false
  #pause = 0
  /** A fault that ends this connection was played: there is no use in another. */
  #spoilt = false
  /** Payloads leave one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(
    gateway: HostileGateway,
    client: WebSocket,
    socket: Socket,
    { shard, compress }: { readonly shard: string | null; readonly compress: Compress },
  ) {
    this.#gateway = gateway
    this.#client = client
    this.#shardId = shard === null ? undefined : Number(shard)
    this.#wire = new Wire(socket, compress, (extra) => this.#script?.sent.extra(extra))
    this.#pause = gateway.random.int(FEWEST, MOST)
    this.#upstream = new WebSocket(`${gateway.upstream}/?v=10&encoding=json`, { perMessageDeflate: false })
    this.#upstream.on('error', () => undefined)
    client.on('error', () => undefined)
    this.#upstream.on('message', (payload: Buffer) => {
      this.#queue = this.#queue.then(() => this.#pass(payload))
    })
    this.#upstream.on('close', (code, reason) => {
      this.#queue = this.#queue.then(() =>
        isSendable(code) ? client.close(code, reason.toString()) : client.terminate(),
      )
    })
    client.on('message', (payload: Buffer) => this.#said(payload))
    client.on('close', (code, reason) => {
      this.#wire.close()
      if (isSendable(code)) this.#upstream.close(code, reason)
      else this.#upstream.terminate()
    })
  }

  end(): void {
    this.#client.terminate()
  }

  get #script(): ShardScript | undefined {
    return this.#shardId === undefined ? undefined : this.#gateway.script(this.#shardId)
  }

  #said(payload: Buffer): void {
    const { op, d } = JSON.parse(payload.toString()) as { op: number; d: { shard: [number, number] } }
    if (op === 2) this.#shardId = d.shard[0]
    this.#upstream.send(payload.toString())
  }

  async #pass(payload: Buffer): Promise<void> {
    if (this.#client.readyState !== this.#client.OPEN) return
    const head = JSON.parse(payload.toString()) as Head
    const bytes = head.t === 'READY' ? this.#ready(payload) : payload
    const instead = head.t === 'READY' ? this.#script?.onReady?.(bytes) : undefined
    const fault = this.#due(head)
    if (instead !== undefined) for (const each of instead) await this.#wire.send(each)
    else if (fault === 'cut') await this.#wire.cut()
    else if (fault === undefined) {
      this.#note(head, bytes)
      await this.#wire.send(bytes)
    } else {
      if (fault.leaves) this.#spoilt = true
      this.#note(head, (await fault.play(this.#wire, bytes, this.#gateway.random)) ?? bytes)
    }
    if (head.t === 'READY' || head.t === 'RESUMED') this.#live = true
  }

  #note({ op, s }: Head, bytes: Buffer): void {
    if (op === 0 && s !== null) this.#script?.sent.sent(s, bytes)
  }

  #ready(payload: Buffer): Buffer {
    const shardId = this.#shardId ?? 0
    const url = `"resume_gateway_url":"${this.#gateway.resumeUrl(shardId)}"`
    return Buffer.from(payload.toString().replace(/"resume_gateway_url":"[^"]*"/, url))
  }

  /** What is played in place of this payload. `cut`: what is due needs a new connection. */
  #due({ op, t }: Head): Fault | 'cut' | undefined {
    const script = this.#script
    if (script === undefined || this.#spoilt) return undefined
    if (op === 10) return take(script, 'onHello')
    if (t === 'RESUMED') return take(script, 'onResumed')
    const next = script.faults[0]
    if (op !== 0 || !this.#live || next === undefined || this.#pause-- > 0) return undefined
    this.#pause = this.#gateway.random.int(FEWEST, MOST)
    script.faults.shift()
    if (next.at === 'event') return next
    if (next.at === 'hello') script.onHello = next
    else script.onResumed = next
    this.#spoilt = true
    return 'cut'
  }
}

function take(script: ShardScript, place: 'onHello' | 'onResumed'): Fault | undefined {
  const fault = script[place]
  script[place] = undefined
  return fault
}

const isSendable = (code: number): boolean => code >= 1000 && code < 5000 && ![1004, 1005, 1006].includes(code)
