import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { CLOSE, clientFrames, closing, frame, PING, PONG } from './frames.ts'
import { answer, rawServer, realServer, Watched } from './peers.ts'

describe.each([
  ['ws:', false],
  ['wss:', true],
])('with a real server over %s', (_scheme, secure) => {
  it('takes messages of every form and size, whole or fragmented, with pings in between', async () => {
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 300_000]
    const pongs: string[] = []
    await using server = await realServer(secure, (ws) => {
      ws.on('pong', (data) => pongs.push(data.toString()))
      for (const size of sizes) {
        ws.send('t'.repeat(size))
        ws.send(Buffer.alloc(size, 'b'))
        ws.send('one, ', { fin: false })
        ws.ping(`at ${size}`)
        ws.send('two, ', { fin: false })
        ws.send('x'.repeat(size), { fin: true })
      }
      ws.close(4000, 'all sent')
    })
    const watched = new Watched(server.url())
    expect(await watched.closed.promise).toEqual({ code: 4000, reason: 'all sent' })
    expect(watched.messages).toEqual(
      sizes.flatMap((size) => ['t'.repeat(size), 'b'.repeat(size), `one, two, ${'x'.repeat(size)}`]),
    )
    expect(pongs).toEqual(sizes.map((size) => `at ${size}`))
  })

  it('sends what the server reads, and closes with a code and a reason', async () => {
    const connected = Promise.withResolvers<WebSocket>()
    await using server = await realServer(secure, connected.resolve)
    const watched = new Watched(server.url('localhost'))
    const ws = await connected.promise
    const received: string[] = []
    ws.on('message', (data) => received.push(data.toString()))
    await watched.opened.promise
    for (const size of [0, 125, 126, 65_536]) watched.client.send('é'.repeat(size))
    watched.client.close(4001, 'enough')
    const [code, reason] = await once(ws, 'close')
    expect([code, reason.toString()]).toEqual([4001, 'enough'])
    expect(received).toEqual([0, 125, 126, 65_536].map((size) => 'é'.repeat(size)))
    expect((await watched.closed.promise).code).toBe(4001)
    watched.client.send('late')
    watched.client.close(4002, 'again')
    await sleep(20)
    expect(watched.closes).toBe(1)
  })

  it('stops reading while it is paused, so that the server feels it, and loses nothing', async () => {
    const connected = Promise.withResolvers<[WebSocket, Socket]>()
    await using server = await realServer(secure, (ws, socket) => connected.resolve([ws, socket]))
    const watched = new Watched(server.url())
    const [ws, socket] = await connected.promise
    await watched.opened.promise
    // Paused in the middle of a chunk that holds many messages.
    watched.onMessage = () => {
      if (watched.messages.length === 3) watched.client.pause()
    }
    const texts = Array.from({ length: 30_000 }, (_, i) => `${i}`.padEnd(1_000, '.'))
    for (const text of texts) ws.send(text)
    await expect.poll(() => watched.messages.length, { timeout: 10_000 }).toBeGreaterThan(2)
    // A busy machine is given time for what was read before the pause, and then nothing more may come.
    await sleep(300)
    const read = watched.messages.length
    await sleep(200)
    expect(watched.messages.length).toBe(read)
    expect(read).toBeLessThan(2_000)
    expect(socket.writableLength).toBeGreaterThan(1_000_000)
    watched.client.resume()
    ws.close(4000)
    await watched.closed.promise
    expect(watched.messages).toEqual(texts)
  })

  it('opens although it is paused, and reads when it is resumed', async () => {
    await using server = await realServer(secure, (ws) => setTimeout(() => ws.send('hello'), 50))
    const watched = new Watched(server.url())
    watched.client.pause()
    await watched.opened.promise
    await sleep(150)
    expect(watched.messages).toEqual([])
    watched.client.resume()
    await expect.poll(() => watched.messages).toEqual(['hello'])
    watched.client.close(1000, '')
    await watched.closed.promise
  })

  it('closes although it is paused', async () => {
    await using server = await realServer(secure, (ws) => ws.send('hello'))
    const watched = new Watched(server.url())
    await watched.opened.promise
    watched.client.pause()
    watched.client.close(4000, 'bye')
    expect((await watched.closed.promise).code).toBe(4000)
  })

  it('says 1006 when the connection is reset', async () => {
    await using server = await realServer(secure, (_ws, socket) => setTimeout(() => socket.destroy(), 20))
    const watched = new Watched(server.url())
    expect((await watched.closed.promise).code).toBe(1006)
  })

  it('may be closed before it is open', async () => {
    await using server = await realServer(secure, () => {})
    const watched = new Watched(server.url())
    watched.client.close(4000, 'changed our mind')
    expect(watched.closes).toBe(0)
    expect((await watched.closed.promise).code).toBe(1006)
  })
})

/** Answers the handshake, then sends `bytes`; resolves with what the client was told and what it sent. */
async function afterHandshake(bytes: Buffer, { end = false } = {}) {
  const sent: Buffer[] = []
  await using server = await rawServer((socket, request) => {
    socket.on('data', (data) => sent.push(data))
    socket.on('end', () => socket.end())
    socket.write(answer(request))
    // In one piece with the answer, or after it: both happen.
    socket.write(bytes)
    if (end) socket.end()
  })
  const watched = new Watched(server.url)
  const closed = await watched.closed.promise
  return { closed, messages: watched.messages, sent: clientFrames(Buffer.concat(sent)) }
}

describe('closing', () => {
  it.each([1000, 1001, 1003, 1007, 1014, 3000, 4000, 4014, 4999])('answers code %i with the same', async (code) => {
    const bytes = Buffer.concat([
      frame('before'),
      frame(closing(code, 'why'), { opcode: CLOSE }),
      frame('after'),
      frame('', { opcode: PING }),
    ])
    const { closed, messages, sent } = await afterHandshake(bytes)
    expect(closed).toEqual({ code, reason: 'why' })
    expect(messages).toEqual(['before'])
    expect(sent).toMatchObject([{ opcode: CLOSE, payload: closing(code) }])
  })

  it('answers a close frame without a code with the same', async () => {
    const { closed, sent } = await afterHandshake(frame('', { opcode: CLOSE }))
    expect(closed).toEqual({ code: 1005, reason: '' })
    expect(sent).toMatchObject([{ opcode: CLOSE, payload: Buffer.alloc(0) }])
  })

  it.each([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])(
    'answers the invalid code %i with 1002',
    async (code) => {
      const { closed, sent } = await afterHandshake(frame(closing(code), { opcode: CLOSE }))
      expect(closed.code).toBe(1006)
      expect(sent[0]?.payload.readUInt16BE()).toBe(1002)
    },
  )

  it.each<[string, Buffer, number]>([
    ['a close frame of one byte', frame('x', { opcode: CLOSE }), 1002],
    ['a masked frame', frame('x', { mask: Buffer.from('mask') }), 1002],
    ['a reserved opcode', frame('x', { opcode: 7 }), 1002],
    ['a message that is too long', frame('x'.repeat(1_000_001)), 1009],
  ])('answers %s with %i', async (_what, bytes, code) => {
    const { closed, messages, sent } = await afterHandshake(Buffer.concat([frame('before'), bytes, frame('after')]))
    expect(closed.code).toBe(1006)
    expect(closed.reason).not.toBe('')
    expect(messages).toEqual(['before'])
    expect(sent.at(-1)).toMatchObject({ opcode: CLOSE })
    expect(sent.at(-1)?.payload.readUInt16BE()).toBe(code)
  })

  it('says 1006 when the connection ends in the middle of a frame', async () => {
    const { closed, messages } = await afterHandshake(
      Buffer.concat([frame('whole'), frame('cut off').subarray(0, 5)]),
      {
        end: true,
      },
    )
    expect(closed.code).toBe(1006)
    expect(messages).toEqual(['whole'])
  })

  it('cuts off a peer that does not answer, after a second', async () => {
    await using server = await rawServer((socket, request) => {
      socket.write(answer(request))
    })
    const watched = new Watched(server.url)
    await watched.opened.promise
    const startedAt = performance.now()
    watched.client.close(4000, 'bye')
    expect((await watched.closed.promise).code).toBe(1006)
    expect(performance.now() - startedAt).toBeGreaterThan(900)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('still takes what was under way until the answer to its close comes', async () => {
    await using server = await rawServer((socket, request) => {
      socket.write(answer(request))
      socket.once('data', () => {
        socket.write(Buffer.concat([frame('under way'), frame(closing(4000), { opcode: CLOSE }), frame('too late')]))
        socket.on('end', () => socket.end())
      })
    })
    const watched = new Watched(server.url)
    await watched.opened.promise
    watched.client.close(4000, 'bye')
    expect((await watched.closed.promise).code).toBe(4000)
    expect(watched.messages).toEqual(['under way'])
  })

  it('answers no pings for a peer that does not read the answers', async () => {
    const ping = frame('p'.repeat(125), { opcode: PING })
    let asked: Socket | undefined
    await using server = await rawServer((socket, request) => {
      asked = socket
      socket.pause()
      socket.write(answer(request))
      for (let i = 0; i < 100; i++) socket.write(Buffer.concat(Array(1_000).fill(ping)))
      socket.write(frame('after the pings'))
    })
    const watched = new Watched(server.url)
    await expect.poll(() => watched.messages, { timeout: 5_000 }).toEqual(['after the pings'])
    asked?.destroy()
    await watched.closed.promise
  })
})

it('several connections share memory without mixing up what they read', async () => {
  const count = 40
  await using server = await realServer(false, (ws) => {
    ws.on('message', (data) => {
      for (let i = 0; i < 300; i++) ws.send(`${data}/${i}`.padEnd(37 * i, '.'))
      ws.close(4000)
    })
  })
  const all = Array.from({ length: count }, () => new Watched(server.url()))
  await Promise.all(all.map(({ opened }) => opened.promise))
  for (const [i, { client }] of all.entries()) client.send(`client ${i}`)
  await Promise.all(all.map(({ closed }) => closed.promise))
  for (const [i, { messages }] of all.entries())
    expect(messages).toEqual(Array.from({ length: 300 }, (_, n) => `client ${i}/${n}`.padEnd(37 * n, '.')))
})

it('answers a ping with its own payload', async () => {
  const { sent } = await afterHandshake(
    Buffer.concat([
      frame('a', { opcode: PING }),
      frame('', { opcode: PONG }),
      frame('', { opcode: PING }),
      frame('', { opcode: CLOSE }),
    ]),
  )
  expect(sent).toMatchObject([
    { opcode: PONG, payload: Buffer.from('a') },
    { opcode: PONG, payload: Buffer.alloc(0) },
    { opcode: CLOSE },
  ])
})
