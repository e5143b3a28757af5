import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorSchema } from '../../../src/bot-api/errors.ts'
import { FROM_BOTS } from '../../../src/limits.ts'
import { nestsWithin } from '../../../src/support/json-depth.ts'
import { runs } from '../../support/fuzz.ts'
import { KEY, worlds } from './world.ts'

const { start } = worlds()
const CLUSTER = '/v1/shardclusters/ns/bot'
const WITH_KEY = `host: x\r\nauthorization: Bearer ${KEY}\r\n`

/** Sends bytes as they are, and reads until the server ends the connection or `answers` answers are there. */
async function say(url: string, text: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(text)
  let heard = ''
  socket.setEncoding('utf8').on('data', (part: string) => (heard += part))
  await Promise.race([once(socket, 'close'), new Promise((resolve) => setTimeout(resolve, 5_000).unref())])
  const closed = socket.closed
  socket.destroy()
  const [head = '', body = ''] = heard.split('\r\n\r\n')
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
  return { closed, status: Number(head.split(' ')[1]), body, length }
}

describe('what is refused before any route is', () => {
  it.each([
    [
      'a path that is not percent-encoded',
      `GET ${CLUSTER}/%zz HTTP/1.1\r\n${WITH_KEY}connection: close\r\n\r\n`,
      400,
      'INVALID_REQUEST',
    ],
    [
      'a name of 5,000 characters',
      `GET /v1/shardclusters/ns/${'n'.repeat(5_000)} HTTP/1.1\r\n${WITH_KEY}connection: close\r\n\r\n`,
      401,
      'UNAUTHORIZED',
    ],
    [
      'a shard of 5,000 digits',
      `GET ${CLUSTER}/shards/${'1'.repeat(5_000)} HTTP/1.1\r\n${WITH_KEY}connection: close\r\n\r\n`,
      400,
      'INVALID_REQUEST',
    ],
    ['no Host', `GET ${CLUSTER}/nothing HTTP/1.1\r\nconnection: close\r\n\r\n`, 404, 'NOT_FOUND'],
    [
      'an Expect that nobody knows',
      `GET ${CLUSTER} HTTP/1.1\r\n${WITH_KEY}expect: wonders\r\n\r\n`,
      400,
      'INVALID_REQUEST',
    ],
    [
      'headers of 20 KB',
      `GET ${CLUSTER} HTTP/1.1\r\n${WITH_KEY}x: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    ['a method that nobody knows', `BREW ${CLUSTER} HTTP/1.1\r\n${WITH_KEY}\r\n`, 400, 'INVALID_REQUEST'],
    [
      'two lengths',
      `POST ${CLUSTER} HTTP/1.1\r\n${WITH_KEY}content-length: 1\r\ncontent-length: 2\r\n\r\n`,
      400,
      'INVALID_REQUEST',
    ],
    ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n', 400, 'INVALID_REQUEST'],
    ['a tunnel', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'INVALID_REQUEST'],
    [
      'another protocol',
      `GET ${CLUSTER} HTTP/1.1\r\n${WITH_KEY}connection: upgrade\r\nupgrade: websocket\r\n\r\n`,
      400,
      'INVALID_REQUEST',
    ],
  ])('%s has the shape of every refusal, and ends the connection', async (_, request, status, code) => {
    const world = await start()
    const answer = await say(world.api.url, request)
    expect(answer).toMatchObject({ closed: true, status, length: Buffer.byteLength(answer.body) })
    const body = errorSchema.strict().parse(JSON.parse(answer.body))
    expect(body.code).toBe(code)
    expect(world.logged.join('')).toBe('')
  })

  it('a body that comes with no key is not waited for: its connection ends', async () => {
    const world = await start()
    const answer = await say(
      world.api.url,
      `POST ${CLUSTER}/shards/0/payloads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    )
    expect(answer).toMatchObject({ closed: true, status: 401 })
  })

  it.each([
    ['text/plain', 'hello'],
    ['application/json', ''],
    ['application/json', '{"op":'],
    ['application/json', '{"op":31,"__proto__":{"x":1}}'],
    ['application/json', `{"op":31,"d":${'['.repeat(FROM_BOTS.jsonDepth)}${']'.repeat(FROM_BOTS.jsonDepth)}}`],
    ['application/json', `{"op":31,"d":{"a":${'['.repeat(15_000)}${']'.repeat(15_000)}}}`],
  ])('a body of %s: %s', async (type, text) => {
    const world = await start()
    const response = await fetch(`${world.api.url}${CLUSTER}/shards/0/payloads`, {
      ...{ method: 'POST', body: text },
      headers: { authorization: `Bearer ${KEY}`, 'content-type': type },
    })
    expect(response.status).toBe(400)
    expect(errorSchema.strict().parse(await response.json()).code).toBe('INVALID_REQUEST')
    expect([world.sent, world.logged]).toEqual([[], []])
  })
})

describe('nestsWithin', () => {
  const depthOf = (value: unknown): number =>
    typeof value !== 'object' || value === null ? 0 : 1 + Math.max(0, ...Object.values(value).map(depthOf))

  it('says of JSON what is so', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat(10), fc.boolean(), (value, depth, spaced) => {
        const text = JSON.stringify(value, undefined, spaced ? 2 : undefined)
        expect(nestsWithin(text, depth)).toBe(depthOf(value) <= depth)
      }),
      { numRuns: runs(500) },
    )
  })

  it('is not taken in by brackets, quotes and backslashes in strings', () => {
    const strings = fc
      .array(fc.constantFrom('[', '{', '"', '\\', ']', 'a'), { maxLength: 20 })
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.array(fc.tuple(strings, strings)), (pairs) => {
        expect(nestsWithin(JSON.stringify(pairs), 2)).toBe(true)
      }),
    )
  })
})
