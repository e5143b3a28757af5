import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { memoryBudget } from '../../../src/rest-proxy/budget.ts'
import type { RestProxy } from '../../../src/rest-proxy/index.ts'
import { drip } from '../../support/raw-http.ts'
import { call, KEY, restProxies } from './harness.ts'

const { proxyTo, upstream, logged } = restProxies()
const MB = 2 ** 20
const ROUTE = '/v10/channels/1/messages'

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

/** Sends a request's head and the start of its body, and reads nothing. */
function dial(proxy: RestProxy, method: string, headers = '', start = ''): Socket {
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined)
  socket.pause()
  socket.write(`${method} ${ROUTE} HTTP/1.1\r\nhost: x\r\nauthorization: ${KEY}\r\n${headers}\r\n${start}`)
  return socket
}

/** Polls until `done`; the test's own time-out is the end of it. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await delay(10)
}

/** A Discord that answers when it is told to. */
async function waiting() {
  const open: ServerResponse[] = []
  const { seen, url } = await upstream((_, response) => open.push(response))
  const answerAll = () => {
    for (const response of open.splice(0)) response.end('{}')
  }
  return { seen, url, open, answerAll }
}

test.each([
  ['with their length told', 3],
  // Memory that grows is more than what is in it, by how much depends on the pieces.
  ['in chunks', 1],
] as const)('12 uploads %s stay under the budget: those for which there is no room get 503', async (how, least) => {
  const { seen, url, open, answerAll } = await waiting()
  const proxy = await proxyTo(url, { memoryBudget: 8 * MB })
  const body = () => (how === 'in chunks' ? new Blob([new Uint8Array(2 * MB)]).stream() : Buffer.alloc(2 * MB))
  const refused: object[] = []
  const upload = async (channel: number) => {
    const init = { method: 'POST', body: body(), duplex: 'half' } as RequestInit
    const answer = await call(proxy, `/v10/channels/${channel}/messages`, init)
    const text = await answer.text()
    if (answer.status === 503) refused.push({ retryAfter: answer.headers.get('retry-after'), text })
    return answer.status
  }
  const uploads: Promise<number>[] = []
  while (uploads.length < 12) {
    uploads.push(upload(uploads.length))
    // One after the other, so that each is where it waits before the next one comes.
    await until(() => seen.length + refused.length === uploads.length)
    expect(proxy.bytesUnderWay()).toBeLessThanOrEqual(8 * MB)
  }
  const most = seen.length
  expect(seen.map(({ body: { length } }) => length)).toEqual(Array(most).fill(2 * MB))
  expect([most >= least, most <= 3, refused.length]).toEqual([true, true, 12 - most])
  expect(new Set(refused.map((answer) => JSON.stringify(answer)))).toEqual(
    new Set([
      '{"retryAfter":"1","text":"{\\"error\\":\\"Too many bytes are under way in the proxy; try again later.\\"}"}',
    ]),
  )
  expect(logged.splice(0).filter((line) => line.includes('callers are refused'))).toHaveLength(1)
  answerAll()
  expect((await Promise.all(uploads)).filter((status) => status === 200)).toHaveLength(most)
  await until(() => proxy.bytesUnderWay() === 0)
  const again = upload(12)
  await until(() => open.length > 0)
  answerAll()
  expect(await again).toBe(200)
})

test('many small requests have their weight, too', async () => {
  const { url } = await waiting()
  const proxy = await proxyTo(url, { memoryBudget: MB })
  // 64 x 16 KB: one more than fits beside them is refused.
  for (let i = 0; i < 64; i += 1) dial(proxy, 'GET')
  await until(() => proxy.bytesUnderWay() === MB)
  expect((await call(proxy, '/v10/users/@me')).status).toBe(503)
})

test('a body that never fits is 413, not told to come again', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url, { memoryBudget: MB })
  const answer = await call(proxy, ROUTE, { method: 'POST', body: Buffer.alloc(MB) })
  expect([answer.status, seen]).toEqual([413, []])
})

test('an upload that comes a byte at a time is ended, and gives back what it took', async () => {
  const { url } = await upstream((_, response) => response.end('{}'))
  const bounds = { requestMs: 300, headersMs: 200, checkMs: 50 }
  const proxy = await proxyTo(url, {}, bounds)
  const socket = dial(proxy, 'POST', 'content-length: 1000000\r\n', 'x')
  await until(() => proxy.bytesUnderWay() > 1_000_000)
  drip(socket)
  const [answer] = (await once(socket.resume(), 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 408 /)
  await until(() => proxy.bytesUnderWay() === 0)
})

test('one connection beyond the limit is closed', async () => {
  const { url } = await waiting()
  const proxy = await proxyTo(url, {}, { connections: 2 })
  dial(proxy, 'GET')
  dial(proxy, 'GET')
  await until(() => proxy.bytesUnderWay() === 2 * 16 * 1024)
  await once(dial(proxy, 'GET').resume(), 'close')
  expect(proxy.bytesUnderWay()).toBe(2 * 16 * 1024)
})

test('a caller that hangs up while it waits for its turn gives back what it took', async () => {
  const { seen, url, open, answerAll } = await waiting()
  const proxy = await proxyTo(url)
  const post = (body: string) => dial(proxy, 'POST', `content-length: ${body.length}\r\n`, body)
  post('first')
  await until(() => open.length === 1)
  const second = post('x'.repeat(MB))
  await until(() => proxy.bytesUnderWay() > MB)
  second.destroy()
  await until(() => proxy.bytesUnderWay() < MB)
  answerAll()
  await until(() => proxy.bytesUnderWay() === 0)
  expect(seen).toHaveLength(1)
})

/** A Discord whose answers have 64 MB. */
async function talkative() {
  const size = 64 * MB
  const chunk = randomBytes(MB)
  const responses: ServerResponse[] = []
  const { url } = await upstream((_, response) => {
    responses.push(response)
    // Who reads it may hang up at any time.
    pipeline(Readable.from(Array(size / chunk.length).fill(chunk)), response).catch(() => undefined)
  })
  return { url, size, chunk, responses }
}

test('callers that do not read make the proxy hold no whole answers, and cost it nothing once they are gone', async () => {
  const { url, size, responses } = await talkative()
  const proxy = await proxyTo(url, { memoryBudget: 4 * MB })
  const callers = Array.from({ length: 8 }, () => dial(proxy, 'GET'))
  await until(() => responses.length === 8)
  const written = () => responses.reduce((sum, { socket }) => sum + (socket?.bytesWritten ?? 0), 0)
  // Until it stands still: every buffer between the two ends is full.
  for (let before = -1; before !== written(); await delay(300)) before = written()
  expect(written()).toBeLessThan(8 * size)
  expect(responses.some(({ writableFinished }) => writableFinished)).toBe(false)
  // What is here of an answer is never refused, but a caller is while there is so much of it.
  expect(proxy.bytesUnderWay()).toBeLessThan(4 * MB)
  for (const caller of callers) caller.destroy()
  await until(() => responses.every(({ destroyed }) => destroyed))
  await until(() => proxy.bytesUnderWay() === 0)
})

test('a caller that never reads is cut off after the time of an answer', async () => {
  const { url, responses } = await talkative()
  const proxy = await proxyTo(url, { timeoutMs: 1_000 })
  const caller = dial(proxy, 'GET')
  await until(() => responses[0]?.destroyed === true)
  await until(() => proxy.bytesUnderWay() === 0)
  expect(responses[0]?.writableFinished).toBe(false)
  await once(caller.resume(), 'close')
})

test('a long answer comes as it is', async () => {
  const { url, size, chunk } = await talkative()
  const proxy = await proxyTo(url, { memoryBudget: MB })
  const answer = await call(proxy, ROUTE)
  const hash = createHash('sha256')
    .update(Buffer.from(await answer.arrayBuffer()))
    .digest('hex')
  const expected = createHash('sha256')
  for (let sent = 0; sent < size; sent += chunk.length) expected.update(chunk)
  expect([answer.status, hash]).toEqual([200, expected.digest('hex')])
})

test('an answer that breaks off is no answer: 502 while it is short, a broken connection when it is long', async () => {
  let length = 0
  const { url } = await upstream(async (_, response) => {
    response.writeHead(200, { 'content-length': 10 * MB })
    response.write(Buffer.alloc(length), () => response.destroy())
  })
  const proxy = await proxyTo(url)
  length = 1_000
  expect((await call(proxy, ROUTE)).status).toBe(502)
  length = 5 * MB
  await expect(call(proxy, ROUTE).then((answer) => answer.arrayBuffer())).rejects.toThrow()
})

test('a rate limit without measure is believed for a day', async () => {
  const { seen, url } = await upstream((_, response) => {
    const headers = { 'x-ratelimit-reset-after': '1e300', 'x-ratelimit-remaining': '0', 'x-ratelimit-bucket': 'b' }
    response.writeHead(429, { ...headers, 'x-ratelimit-global': 'true' }).end('{}')
  })
  const proxy = await proxyTo(url)
  expect((await call(proxy, ROUTE)).status).toBe(429)
  const next = await call(proxy, '/v10/users/@me')
  expect([next.status, next.headers.get('retry-after')]).toEqual([429, '86400'])
  expect(seen).toHaveLength(1)
})

test('the budget is a quarter of what the process may have', () => {
  const total = 64 * 1024 * MB
  expect(memoryBudget(512 * MB, total)).toBe(128 * MB)
  // No limit: Node says 0, or a number that no machine has.
  for (const none of [0, 2 ** 64, Number.MAX_SAFE_INTEGER]) expect(memoryBudget(none, total)).toBe(total / 4)
  expect(memoryBudget()).toBeGreaterThan(MB)
})
