import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

/**
 * A TCP proxy on loopback that fails as networks do. It sees only bytes: TLS passes through untouched, and HTTP faults
 * have to be injected elsewhere.
 */
export class FaultProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #port = 0
  #accepted = 0
  #blackHole = false
  #delayMs = 0

  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.listen()
    return proxy
  }

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target
  }

  get port(): number {
    return this.#port
  }

  /** Connections open now. */
  get open(): number {
    return this.#pairs.size
  }

  /** Connections ever accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** Accepts connections again, on the same port as before. */
  async listen(): Promise<void> {
    if (this.#server) return
    this.#server = createServer((client) => this.#accept(client))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** New connections are refused; open ones go on. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    server?.close()
    // close() stops listening at once; its event waits for the open connections, which is not wanted here.
  }

  /** Resets every open connection. */
  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
  }

  /** Swallows all bytes of the connections that are open, and of new ones unless `onlyOpen`, without a reset. */
  blackHole({ onlyOpen = false } = {}): void {
    for (const { client, upstream } of this.#pairs) {
      for (const socket of [client, upstream]) {
        socket.removeAllListeners('data')
        socket.resume()
      }
    }
    this.#blackHole = !onlyOpen
  }

  /** Reads nothing more from the connections that are open, as when a cable is pulled: what is sent stays in buffers. */
  freeze(): void {
    for (const { client, upstream } of this.#pairs) {
      client.pause()
      upstream.pause()
    }
  }

  /** Every piece of data takes this long, each way. Milliseconds. */
  delay(milliseconds: number): void {
    this.#delayMs = milliseconds
  }

  /** No faults for new connections; those in the black hole stay there. */
  async heal(): Promise<void> {
    this.#blackHole = false
    this.#delayMs = 0
    await this.listen()
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const { client, upstream } of this.#pairs) {
      client.destroy()
      upstream.destroy()
    }
    if (!server) return
    server.close()
    await once(server, 'close')
  }

  #accept(client: Socket): void {
    this.#accepted += 1
    const upstream = connect(this.#target)
    const pair = { client, upstream }
    this.#pairs.add(pair)
    this.#forward(client, upstream)
    this.#forward(upstream, client)
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      // Errors are the purpose of this thing; 'close' follows them.
      socket.on('error', () => undefined)
      socket.on('close', end)
    }
  }

  #forward(from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      if (this.#blackHole) return
      if (this.#delayMs === 0) to.write(chunk)
      else setTimeout(() => to.destroyed || to.write(chunk), this.#delayMs)
    })
  }
}
