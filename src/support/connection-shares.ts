import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'

/**
 * Keeps at most `limit` connections open, in fair shares: beyond it the oldest of the remote address that has most is
 * closed, not the new one. With a plain limit, whoever opens that many and says nothing locks everybody else out; on the
 * port of the probes that would have the process restarted.
 */
export function shareConnections(server: Server | TlsServer, limit: number): void {
  /** By remote address, the oldest first. */
  const open = new Map<string, Set<Socket>>()
  let size = 0
  const forget = (address: string, socket: Socket) => {
    const sockets = open.get(address)
    if (!sockets?.delete(socket)) return
    size--
    if (sockets.size === 0) open.delete(address)
  }
  const closeOne = () => {
    const [address = '', sockets] = [...open].reduce((most, next) => (next[1].size > most[1].size ? next : most))
    const [oldest] = sockets
    if (!oldest) return
    forget(address, oldest)
    oldest.destroy()
  }
  server.maxConnections = Number.POSITIVE_INFINITY
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const sockets = open.get(address) ?? new Set()
    open.set(address, sockets.add(socket))
    size++
    socket.once('close', () => forget(address, socket))
    if (size > limit) closeOne()
  })
}
