import { constants, createInflate, createZstdDecompress } from 'node:zlib'
import { WebSocket } from 'ws'

/** A gateway payload as a client sees it. */
export interface Payload {
  readonly t: string | null
  readonly s: number | null
  readonly op: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  readonly d: any
}

type Wanted = (payload: Payload) => boolean

/** A bare gateway client: keeps every payload and does nothing on its own. */
export class Client {
  readonly ws: WebSocket
  readonly payloads: Payload[] = []
  /** The raw text of each payload. */
  readonly texts: string[] = []
  /** The WebSocket messages as they came, compressed or not. */
  readonly frames: Buffer[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  #waiting: { wanted: Wanted; resolve: (payload: Payload) => void }[] = []

  constructor(url: string, options: { readonly ca?: string } = {}) {
    this.ws = new WebSocket(url, { perMessageDeflate: false, ...options })
    const inflate = inflater(new URL(url).searchParams.get('compress'), (text) => this.#take(text))
    this.ws.on('message', (data: Buffer) => {
      this.frames.push(data)
      inflate(data)
    })
    this.ws.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      this.ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
  }

  send(op: number, d: unknown): void {
    this.ws.send(JSON.stringify({ op, d }))
  }

  /** The first payload (already received or still to come) that is wanted, from index `from` on. */
  async next(wanted: Wanted, from = 0): Promise<Payload> {
    const found = this.payloads.slice(from).find(wanted)
    if (found !== undefined) return found
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }))
  }

  op(op: number, from = 0): Promise<Payload> {
    return this.next((payload) => payload.op === op, from)
  }

  event(t: string, from = 0): Promise<Payload> {
    return this.next((payload) => payload.t === t, from)
  }

  async identify(token: string, shard: readonly [number, number] | undefined, intents = 513): Promise<void> {
    await this.op(10)
    const properties = { os: 'linux', browser: 'test', device: 'test' }
    this.send(2, { token, properties, intents, ...(shard === undefined ? {} : { shard }) })
  }

  /** Connects an identified client and returns its READY. */
  async ready(token: string, shard: readonly [number, number], intents = 513): Promise<Payload> {
    await this.identify(token, shard, intents)
    return this.event('READY')
  }

  /** Closes, and waits until that is over. */
  async close(code = 4000): Promise<void> {
    this.ws.close(code)
    await this.closed
  }

  #take(text: string): void {
    const payload = JSON.parse(text) as Payload
    this.payloads.push(payload)
    this.texts.push(text)
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ wanted }) => !wanted(payload))
    for (const { wanted, resolve } of waiting) if (wanted(payload)) resolve(payload)
  }
}

/** Events a test counts on: the `sim_n` of everything but READY and RESUMED. */
export function counters(client: Client): number[] {
  return client.payloads.flatMap(({ d }) => (typeof d?.sim_n === 'number' ? [d.sim_n as number] : []))
}

/** Waits until `condition` holds; the test's own time-out is the only limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

function inflater(compress: string | null, take: (text: string) => void): (data: Buffer) => void {
  if (compress === null) return (data) => take(data.toString())
  const stream = compress === 'zlib-stream' ? createInflate({ flush: constants.Z_SYNC_FLUSH }) : createZstdDecompress()
  let chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return (data) =>
    stream.write(data, () => {
      const text = Buffer.concat(chunks).toString()
      chunks = []
      take(text)
    })
}
