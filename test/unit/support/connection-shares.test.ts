import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { shareConnections } from '../../../src/support/connection-shares.ts'

let server: Server
let sockets: Socket[]
beforeEach(async () => {
  sockets = []
  server = createServer((_request, response) => response.end('hello'))
  shareConnections(server, 10)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
})

/** A connection that says nothing, from one of this machine's addresses. */
async function silent(localAddress: string): Promise<Socket> {
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', localAddress })
  socket.on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}
const openOnes = async () => {
  await new Promise<void>((resolve) => server.getConnections(() => setTimeout(resolve, 50)))
  return sockets.map(({ closed }) => !closed)
}

it('keeps the limit by closing the oldest of whoever has most, and answers everybody else', async () => {
  const [patient] = [await silent('127.0.0.2')]
  for (let i = 0; i < 30; i++) await silent('127.0.0.3')
  expect((await openOnes()).map((is, i) => (is ? i : -1)).filter((i) => i >= 0)).toEqual([
    ...[0, 22, 23, 24, 25, 26, 27, 28, 29, 30],
  ])
  patient?.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  const [answer] = await once(patient as Socket, 'data')
  expect(String(answer)).toContain('hello')
})

it('counts what was closed no more', async () => {
  for (let i = 0; i < 25; i++) {
    const socket = await silent('127.0.0.3')
    socket.destroy()
    await once(socket, 'close')
  }
  for (let i = 0; i < 10; i++) await silent('127.0.0.4')
  expect((await openOnes()).slice(25)).toEqual(Array(10).fill(true))
})
