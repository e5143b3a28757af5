import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CLOSE, closing, frame } from './frames.ts'
import { answer, rawServer, Watched } from './peers.ts'

describe('the handshake', () => {
  it.each<[string, (request: string) => string, RegExp]>([
    ['another status', () => 'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n', /Unexpected server response: 503/],
    ['a redirect', () => 'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n', /response: 302/],
    ['a wrong Sec-WebSocket-Accept', () => answer('sec-websocket-key: another\r\n'), /Sec-WebSocket-Accept/],
    ['another protocol', (r) => answer(r).replace('Upgrade: websocket', 'Upgrade: h2c'), /something else/],
    ['an extension', (r) => answer(r, 'Sec-WebSocket-Extensions: permessage-deflate\r\n'), /extension/],
    ['a subprotocol', (r) => answer(r, 'Sec-WebSocket-Protocol: chat\r\n'), /subprotocol/],
    ['no HTTP at all', () => 'SSH-2.0-OpenSSH_9.2\r\n', /./],
  ])('refuses %s', async (_what, reply, reason) => {
    await using server = await rawServer((socket, request) => {
      socket.write(reply(request))
    })
    const watched = new Watched(server.url)
    const closed = await watched.closed.promise
    expect(closed.code).toBe(1006)
    expect(closed.reason).toMatch(reason)
    expect(watched.messages).toEqual([])
  })

  it('says so when the server hangs up, and when there is none', async () => {
    const server = await rawServer((socket) => socket.destroy())
    const closed = await new Watched(server.url).closed.promise
    expect(closed).toMatchObject({ code: 1006, reason: expect.stringMatching(/./) })
    await server[Symbol.asyncDispose]()
    expect((await new Watched(server.url).closed.promise).reason).toContain('ECONNREFUSED')
  })

  it('gives up after its time', async () => {
    await using server = await rawServer(() => {})
    const watched = new Watched(server.url, { handshakeTimeoutMs: 100 })
    expect(await watched.closed.promise).toEqual({ code: 1006, reason: 'Opening handshake has timed out' })
  })

  it('may come byte by byte, with frames right behind it', async () => {
    await using server = await rawServer(async (socket, request) => {
      socket.setNoDelay()
      const bytes = Buffer.concat([Buffer.from(answer(request)), frame('hello'), frame('again', { opcode: 2 })])
      for (const byte of bytes) {
        socket.write(Buffer.of(byte))
        await sleep(0)
      }
    })
    const watched = new Watched(server.url)
    await expect.poll(() => watched.messages).toEqual(['hello', 'again'])
    watched.client.close(1000, '')
    await watched.closed.promise
  })

  it('may come in one piece with a lot of frames', async () => {
    const texts = Array.from({ length: 500 }, (_, i) => `${i}`.padEnd(1_000, '.'))
    await using server = await rawServer((socket, request) => {
      socket.write(Buffer.concat([Buffer.from(answer(request)), ...texts.map((text) => frame(text))]))
      socket.write(frame(closing(4000), { opcode: CLOSE }))
      socket.on('end', () => socket.end())
    })
    const watched = new Watched(server.url)
    expect((await watched.closed.promise).code).toBe(4000)
    expect(watched.messages).toEqual(texts)
  })
})
