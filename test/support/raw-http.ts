import { connect, type Socket } from 'node:net'

/** One connection that a test writes by hand. */
export interface RawConnection {
  readonly socket: Socket
  /** What it was sent until now. */
  readonly seen: { text: string }
  /** Resolves when it is closed, in whichever way. */
  readonly ended: Promise<void>
}

/** Connects to a server on this machine, and writes `start`. */
export function dial(url: string, start = ''): RawConnection {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const seen = { text: '' }
  socket.on('data', (chunk) => {
    seen.text += chunk.toString('latin1')
  })
  // A reset is an end too.
  socket.on('error', () => undefined)
  if (start !== '') socket.write(start)
  return { socket, seen, ended: new Promise<void>((resolve) => socket.once('close', () => resolve())) }
}

/** Writes a byte now and then, for as long as the connection is there. */
export function drip(socket: Socket): void {
  const timer = setInterval(() => socket.write('x'), 20)
  socket.once('close', () => clearInterval(timer))
}
