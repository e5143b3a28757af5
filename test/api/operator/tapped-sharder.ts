import { connect, createServer, type Server, type Socket } from 'node:net'
import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import type { PodStart, PodWorker } from './pod-worker.ts'
import { SharderProcess } from './sharder-process.ts'

/** One connection to a pod, as whoever reads the network of the pods sees it. */
export interface Tapped {
  /** Of both directions. */
  bytes: Buffer
}

/** A sharder whose pod's address is somebody else's ear, and may be somebody else's mouth. */
export class TappedSharder implements PodWorker {
  /** Connections since the beginning, or since they were forgotten. */
  connections: Tapped[] = []
  /** Where new connections really go; undefined: to the sharder. */
  diverted: { readonly host: string; readonly port: number } | undefined
  readonly sharder: SharderProcess
  readonly #open = new Set<Socket>()
  readonly #server: Server
  readonly #behind: string

  private constructor(sharder: SharderProcess, behind: string) {
    this.sharder = sharder
    this.#behind = behind
    this.#server = createServer((socket) => this.#relay(socket))
  }

  static async start(start: PodStart): Promise<TappedSharder> {
    const behind = start.host.replace(/\d+$/, (last) => String(Number(last) + 120))
    const tapped = new TappedSharder(await SharderProcess.start({ ...start, host: behind }), behind)
    await new Promise<void>((resolve) => tapped.#server.listen(SHARDER_PORT, start.host, resolve))
    return tapped
  }

  #relay(socket: Socket): void {
    const { host, port } = this.diverted ?? { host: this.#behind, port: SHARDER_PORT }
    const tapped: Tapped = { bytes: Buffer.alloc(0) }
    this.connections.push(tapped)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    const onward = connect({ host, port })
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on('data', (part: Buffer) => {
        tapped.bytes = Buffer.concat([tapped.bytes, part])
      })
      from.pipe(to)
      from.on('error', () => to.destroy()).on('close', () => to.destroy())
    }
  }

  /** Connections that are open. */
  get open(): readonly Socket[] {
    return [...this.#open]
  }

  cut(): void {
    for (const socket of this.open) socket.destroy()
  }

  held(): Promise<readonly number[]> {
    return this.sharder.held()
  }

  mounted(): void {
    this.sharder.mounted()
  }

  async drain(): Promise<void> {
    await this.sharder.drain()
    this.#close()
  }

  async crash(): Promise<void> {
    await this.sharder.crash()
    this.#close()
  }

  #close(): void {
    this.#server.close()
    this.cut()
  }
}
