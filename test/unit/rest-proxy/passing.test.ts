import { once } from 'node:events'
import { request as httpRequest, IncomingMessage, ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { passedHeaders } from '../../../src/rest-proxy/headers.ts'
import type { RestProxy } from '../../../src/rest-proxy/index.ts'
import { targetOf } from '../../../src/rest-proxy/route.ts'
import { runs } from '../../support/fuzz.ts'
import { KEY, restProxies } from './harness.ts'

const { proxyTo, upstream } = restProxies()

/** A request with its path as it is written: fetch would resolve it. */
async function send(proxy: RestProxy, method: string, path: string): Promise<IncomingMessage> {
  const request = httpRequest(proxy.url, { method, path, headers: { authorization: KEY } }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  return response
}

const CLIMBING = [
  '/v10/../../oauth',
  '/v10/%2e%2e/%2e%2e/oauth',
  '//evil.example/',
  '/v10//evil.example/',
  '/v10/..%2f..%2fx',
  '/v10/..%2F..%2Fx',
  '/v10/a%2fb',
  '/v10/..;/x',
  '/v10/.;a=b/x',
  '/v10/..%3b/x',
  '/v10/%2e.;/x',
  '/v10/%5c..%5cx',
  '/v10/..\\x',
  '/v10/%252e%252e/x',
  '/v10/..%252fx',
  '/v10/%25252e%25252e/x',
  '/v10/%2525252525252e/x',
  '/v10/%c0%ae%c0%ae/x',
  '/v10/..%c0%afx',
  '/v10/x%00',
  '/v10/x%0d%0ahost:%20y',
  '/v10%2f..%2fx',
  '*',
]

test('a path that leaves the API, or could once it is decoded, is refused', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url)
  for (const path of CLIMBING) expect([path, (await send(proxy, 'GET', path)).statusCode]).toEqual([path, 400])
  expect(seen).toEqual([])
})

test("Discord's own paths pass as they are: escaped emojis, dots in names, any query", async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url)
  const paths = [
    '/channels/1/messages/2/reactions/%F0%9F%91%8D/@me',
    '/channels/1/messages/2/reactions/%23%EF%B8%8F%E2%83%A3/@me',
    '/channels/1/messages/2/reactions/blob:123/@me',
    '/webhooks/1/a.b-c_d/messages/@original',
    '/guilds/1/members/search?query=..%2F..%5C%252e&limit=1',
    '/invites/...',
    '/x/100%25',
  ]
  for (const path of paths) expect([path, (await send(proxy, 'GET', `/v10${path}`)).statusCode]).toEqual([path, 200])
  expect(seen.map((request) => request.url)).toEqual(paths.map((path) => `/api/v10${path}`))
})

test('TRACE and all that Discord does not have are 405, with what it has', async () => {
  const { seen, url } = await upstream((request, response) => {
    // What an upstream does that takes TRACE at its word.
    response.end(JSON.stringify(request.headers))
  })
  const proxy = await proxyTo(url)
  for (const method of ['TRACE', 'HEAD', 'OPTIONS', 'PROPFIND', 'QUERY', 'PURGE']) {
    const { statusCode, headers } = await send(proxy, method, '/v10/users/@me')
    expect([method, statusCode, headers.allow]).toEqual([method, 405, 'GET, POST, PUT, PATCH, DELETE'])
  }
  expect(seen).toEqual([])
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
    expect((await send(proxy, method, '/v10/users/@me')).statusCode).toBe(200)
  expect(seen.map(({ method }) => method)).toEqual(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
})

test('headers of one hop, and those that connection names, end at the proxy; the answer stays well-formed', async () => {
  const { url } = await upstream((_, response) => {
    response.writeHead(200, [
      ...['connection', 'close, X-Named', 'x-named', '1', 'keep-alive', 'timeout=5', 'te', 'trailers'],
      ...['trailer', 'x-after', 'upgrade', 'h2c', 'proxy-authenticate', 'Basic', 'proxy-authentication-info', 'x'],
      ...[
        'proxy-connection',
        'close',
        'proxy-support',
        'x',
        'x-kept',
        'yes',
        'x-kept',
        'too',
        'via',
        '1.1 x',
        'content-type',
        'a/b',
      ],
    ])
    response.end('{"id":1}')
  })
  const proxy = await proxyTo(url)
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  socket.write(`GET /v10/users/@me HTTP/1.1\r\nhost: x\r\nauthorization: ${KEY}\r\nconnection: close\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += chunk
  const [head = '', body] = text.split('\r\n\r\n')
  const names = head
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(':', 1)[0])
  expect(names.sort()).toEqual(['Connection', 'Date', 'content-length', 'content-type', 'via', 'x-kept', 'x-kept'])
  expect([head.split('\r\n', 1)[0], body]).toEqual(['HTTP/1.1 200 OK', '{"id":1}'])
})

test('a header that Node would not send is left out, and an odd status is no fault of the proxy', async () => {
  for (const [raw, status] of [
    ['HTTP/1.1 200 OK\r\nx-odd: \u00e9\r\nx-kept: yes\r\ncontent-length: 2\r\n\r\n{}', 200],
    ['HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}', 502],
  ] as const) {
    const discord = createServer((socket) => socket.once('data', () => socket.end(raw, 'latin1')))
    await once(discord.listen(0, '127.0.0.1'), 'listening')
    const proxy = await proxyTo(`http://127.0.0.1:${(discord.address() as AddressInfo).port}`)
    const { statusCode, headers } = await send(proxy, 'GET', '/v10/users/@me')
    discord.close()
    expect(statusCode).toBe(status)
    if (status === 200) expect(headers['x-kept']).toBe('yes')
  }
})

/** What a lenient server could make of a path: it decodes, takes backslashes, and cuts parameters off. */
function lenient(path: string): string[] {
  let text = path
  for (let round = 0; round < 12; round += 1)
    text = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return text
    .replaceAll('\\', '/')
    .split('/')
    .map((part) => part.split(';', 1)[0] ?? '')
}

test('no path that passes has other parts for whoever decodes it: property', () => {
  const piece = fc.constantFrom(
    '.',
    '..',
    '/',
    '%2f',
    '%5C',
    '\\',
    '%2e',
    '%25',
    '25',
    '2f',
    '2e',
    ';',
    '%3b',
    'a',
    '%',
  )
  let passed = 0
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const target = targetOf(`/v10/${pieces.join('')}`)
      if (target === undefined) return
      passed += 1
      const parts = lenient(target.route)
      expect(parts).not.toContain('..')
      expect(parts).not.toContain('.')
      expect(parts).toHaveLength(target.route.split('/').length)
      expect(target.version).toBe(10)
    }),
    { seed: 17, numRuns: runs(10_000) },
  )
  expect(passed).toBeGreaterThan(100)
})

test('any path gives an answer, and each part of names and escaped names passes: property', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      targetOf(text)
      targetOf(`/v10/${text}`)
    }),
    { seed: 17, numRuns: runs(2_000) },
  )
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((text) => /^[^\p{Cc}/\\.%;]+$/u.test(text))
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 6 }), (names) => {
      const route = `/${names.map(encodeURIComponent).join('/')}`
      expect(targetOf(`/v10${route}`)).toEqual({ route, version: 10 })
    }),
    { seed: 17, numRuns: runs(2_000) },
  )
})

test('what passes of headers is none of one hop and fit to be sent: property', () => {
  const hop = ['Connection', 'keep-alive', 'TE', 'Trailer', 'transfer-encoding', 'UPGRADE', 'proxy-a', 'content-length']
  const name = fc.oneof(fc.constantFrom(...hop, 'x-a', 'X-B', 'via'), fc.string({ maxLength: 8 }))
  const value = fc.oneof(
    fc.constantFrom('close', 'X-A', ' x-b , via', ',,', 'x'),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.array(fc.constantFrom('x-a', 'close'), { maxLength: 3 }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (pairs) => {
      const headers = Object.fromEntries(pairs.map(([key, text]) => [key.toLowerCase(), text]))
      const passed = passedHeaders(headers)
      const named = [headers.connection ?? []]
        .flat()
        .join(',')
        .toLowerCase()
        .split(',')
        .map((token) => token.trim())
      const forbidden = new Set([...hop.map((key) => key.toLowerCase()), ...named])
      expect(passed.filter(([key]) => forbidden.has(key) || key.startsWith('proxy-'))).toEqual([])
      // Throws on what cannot be sent.
      const response = httpResponse()
      for (const [key, text] of passed) response.setHeader(key, text)
      for (const key of ['x-a', 'x-b', 'via'])
        if (headers[key] === 'x' && !forbidden.has(key)) expect(passed).toContainEqual([key, 'x'])
    }),
    { seed: 17, numRuns: runs(2_000) },
  )
})

/** A response that nobody is sent. */
const httpResponse = () => new ServerResponse(new IncomingMessage(new Socket()))
