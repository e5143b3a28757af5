import type { IncomingMessage, Server } from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
import { SERVERS } from '../src/limits.ts'

/** What a server allows its clients. */
export interface ConnectionLimits {
  /** Connections of strangers. */
  readonly connections: number
  readonly headersMs: number
  readonly requestMs: number
}

/**
 * The connections of a server, so that a stranger who opens very many keeps nobody out. A connection is a stranger's
 * until a request with the right key has come on it; from then on it is neither counted nor closed. Beyond the limit of
 * strangers the one that is idle longest goes: a manager's is new, and says who it is in its first request.
 *
 * A connection is known by its peer's address and port, because under TLS a request has another socket than the one
 * that was accepted, and nothing public leads from one to the other.
 */
export class Connections {
  readonly #limits: ConnectionLimits
  /** By peer, the one that is idle longest first. */
  readonly #strangers = new Map<string, Socket>()

  constructor(
    server: NetServer & Pick<Server, 'headersTimeout' | 'requestTimeout'>,
    limits: ConnectionLimits = SERVERS,
  ) {
    this.#limits = limits
    // They end when a request was received: a state stream and an IDENTIFY may be answered for hours.
    server.headersTimeout = limits.headersMs
    server.requestTimeout = limits.requestMs
    server.on('connection', (socket: Socket) => this.#opened(socket))
  }

  /** A request came. */
  seen({ socket }: IncomingMessage): void {
    const peer = peerOf(socket)
    const accepted = this.#strangers.get(peer)
    if (!accepted) return
    this.#strangers.delete(peer)
    this.#strangers.set(peer, accepted)
  }

  /** A request had the right key. */
  trusted({ socket }: IncomingMessage): void {
    this.#strangers.delete(peerOf(socket))
  }

  #opened(socket: Socket): void {
    const peer = peerOf(socket)
    this.#strangers.set(peer, socket)
    socket.once('close', () => {
      if (this.#strangers.get(peer) === socket) this.#strangers.delete(peer)
    })
    if (this.#strangers.size <= this.#limits.connections) return
    const [idle] = this.#strangers
    if (!idle) return
    this.#strangers.delete(idle[0])
    idle[1].destroy()
  }
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
