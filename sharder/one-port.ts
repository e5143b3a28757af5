import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, type Server as TlsServer } from 'node:tls'
import { WORKER_TLS } from '../src/limits.ts'
import type { Cancel, Clock } from '../src/support/clock.ts'
import type { Logger } from '../src/support/logger.ts'
import type { ServingCertificate } from './serving-certificate.ts'

export interface OnePortOptions {
  readonly certificate: Pick<ServingCertificate, 'read' | 'refused'>
  readonly clock: Clock
  readonly logger: Logger
}

/** The content type of a handshake record: https://www.rfc-editor.org/rfc/rfc8446#section-5.1. No HTTP method begins so. */
const TLS_HANDSHAKE = 0x16

/**
 * Has a server of plain HTTP take TLS as well, on the same port: what a connection begins with tells. Probes and metrics
 * stay plain, and so may an operator of the release before. Connections stay those of `server`, with its limits.
 *
 * The certificate is read for each handshake (there are few: the operator keeps its connections), so that another one is
 * in use as soon as it is there. Connections that are open go on with the one before.
 *
 * @returns what cuts the connections that `server` does not know: those that have said nothing yet, or speak TLS.
 */
export function takeTls(server: Server, options: OnePortOptions): { cut(): void } {
  const serve = takeOver(server)
  const hurries = new Map<string, Cancel>()
  const secure = createServer({ minVersion: 'TLSv1.3', ALPNProtocols: ['http/1.1'] }, (socket) => {
    hurries.get(peerOf(socket))?.()
    serve(socket)
  })
  secure.on('tlsClientError', (error: NodeJS.ErrnoException) => {
    options.logger.debug({ code: error.code }, 'a TLS handshake failed')
  })
  const renew = renewing(secure, options)
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    // Node's own time-out of handshakes begins anew with each byte.
    const hurry = options.clock.after(WORKER_TLS.helloMs, () => socket.destroy())
    const end = () => socket.destroy()
    const gone = () => {
      hurry()
      hurries.delete(peer)
      open.delete(socket)
    }
    open.add(socket)
    hurries.set(peer, hurry)
    socket.once('close', gone).once('end', end)
    firstByte(socket, (byte) => {
      if (byte !== TLS_HANDSHAKE) {
        gone()
        socket.off('close', gone).off('end', end)
        return serve(socket)
      }
      void renew().then(() => {
        socket.off('end', end)
        if (!socket.destroyed) secure.emit('connection', socket)
      })
    })
  })
  return { cut: () => open.forEach((socket) => void socket.destroy()) }
}

/**
 * Has nobody take the connections of a server of node:http, which it does as any listener does:
 * https://nodejs.org/api/http.html#event-connection
 *
 * @returns what hands one over as if it had just come.
 */
function takeOver(server: Server): (socket: Socket) => void {
  const serving = server.listeners('connection')
  server.removeAllListeners('connection')
  return (socket) => {
    for (const listener of serving) listener.call(server, socket)
  }
}

/** What a connection and the TLS in it have in common; no two that are open have the same. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/** Leaves the byte where it is. */
function firstByte(socket: Socket, found: (byte: number) => void): void {
  // It would end the process; whoever serves the socket listens for itself.
  socket.on('error', () => {})
  const look = () => {
    const bytes = socket.read(1) as Buffer | null
    if (bytes === null) {
      if (!socket.destroyed && !socket.readableEnded) socket.once('readable', look)
      return
    }
    socket.unshift(bytes)
    found(bytes[0] ?? 0)
  }
  look()
}

/** Takes the certificate as it is now. One that cannot be used changes nothing: the one before may still be good. */
function renewing(secure: TlsServer, { certificate, logger }: OnePortOptions): () => Promise<void> {
  let present: string | undefined
  return async () => {
    try {
      const read = await certificate.read()
      const text = `${read.cert}${read.key}`
      if (text === present) return
      secure.setSecureContext({ ...read, minVersion: 'TLSv1.3' })
      if (present !== undefined) logger.info('serves TLS with another certificate')
      present = text
    } catch (error) {
      certificate.refused()
      const { code, message } = error as NodeJS.ErrnoException
      logger.warn({ why: code ?? message }, 'cannot use the certificate for TLS as it is')
    }
  }
}
