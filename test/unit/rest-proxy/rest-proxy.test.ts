import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { optionsOf } from '../../../src/rest-proxy/command.ts'
import { simulators, TOKEN } from '../simulator/harness.ts'
import { call, KEY, restProxies } from './harness.ts'

const { start } = simulators()
const { proxyTo, upstream, logged } = restProxies()

test('Get Gateway Bot comes from Discord, with the token of the proxy', async () => {
  const simulator = await start()
  const proxy = await proxyTo(`${simulator.url}/api`)
  for (const path of ['/v10/gateway/bot', '/api/v10/gateway/bot', '/gateway/bot']) {
    const answer = await call(proxy, path)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ session_start_limit: { max_concurrency: 16 } })
  }
})

test('a wrong or missing key is 401 and nothing reaches Discord; healthz needs none', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url)
  for (const authorization of ['', 'wrong', `Bot ${TOKEN}`, `${KEY} `.repeat(2)]) {
    const answer = await fetch(`${proxy.url}/v10/users/@me`, { headers: authorization === '' ? {} : { authorization } })
    expect([answer.status, await answer.json()]).toEqual([401, { error: 'Invalid authorization key.' }])
  }
  expect(seen).toEqual([])
  expect((await fetch(`${proxy.url}/healthz`)).status).toBe(200)
})

test('method, query, body, content type and audit log reason arrive as they were sent; the key does not', async () => {
  const { seen, url } = await upstream((_, response) => {
    response.writeHead(201, { 'content-type': 'application/json', 'x-ratelimit-bucket': 'abc', 'set-cookie': 'a=b' })
    response.end('{"id": 12345678901234567890}')
  })
  const proxy = await proxyTo(url)
  const body = '{"content":"ü","nonce":12345678901234567890}'
  const answer = await call(proxy, '/v9/channels/1/messages?wait=true&a=%20b', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-audit-log-reason': 'because%20of%20%C3%BC', cookie: 'x=y' },
    body,
  })
  expect([answer.status, await answer.text()]).toEqual([201, '{"id": 12345678901234567890}'])
  expect([answer.headers.get('x-ratelimit-bucket'), answer.headers.get('set-cookie')]).toEqual(['abc', null])
  expect(seen[0]).toMatchObject({ method: 'POST', url: '/api/v9/channels/1/messages?wait=true&a=%20b' })
  expect(seen[0]?.body.toString()).toBe(body)
  expect(seen[0]?.headers).toMatchObject({
    authorization: `Bot ${TOKEN}`,
    'content-type': 'application/json',
    'x-audit-log-reason': 'because%20of%20%C3%BC',
  })
  expect(seen[0]?.headers['user-agent']).toMatch(/^DiscordBot \(/)
  expect(seen[0]?.headers.cookie).toBeUndefined()
})

test('multipart bodies pass byte for byte', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url)
  const form = new FormData()
  const file = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256))
  form.append('payload_json', '{"content":"x"}')
  form.append('files[0]', new Blob([file]), 'a.bin')
  await call(proxy, '/v10/channels/1/messages', { method: 'POST', body: form })
  expect(seen[0]?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/)
  expect(seen[0]?.body.includes(file)).toBe(true)
})

test('204 stays empty, 404 keeps its body, an empty 503 stays empty', async () => {
  const { url } = await upstream((request, response) => {
    if (request.url?.endsWith('/gone')) response.writeHead(204).end()
    else if (request.url?.endsWith('/broken')) response.writeHead(503).end()
    else
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"Unknown Channel","code":10003}')
  })
  const proxy = await proxyTo(url)
  const answers = await Promise.all(
    ['gone', 'broken', 'x'].map((name) => call(proxy, `/v10/channels/${name}`, { method: 'DELETE' })),
  )
  expect(await Promise.all(answers.map(async (answer) => [answer.status, await answer.text()]))).toEqual([
    [204, ''],
    [503, ''],
    [404, '{"message":"Unknown Channel","code":10003}'],
  ])
})

test("Discord's 401 stays a 401", async () => {
  const simulator = await start()
  const proxy = await proxyTo(simulator.url)
  simulator.control('http-errors', { status: 401, count: 1 })
  const answer = await call(proxy, '/v10/gateway/bot')
  expect([answer.status, await answer.json()]).toEqual([401, { message: '401: Unauthorized', code: 0 }])
})

test('a 429 is waited for and sent again a few times', async () => {
  const simulator = await start()
  const proxy = await proxyTo(simulator.url)
  simulator.control('http-errors', { status: 429, retryAfter: 0.05, count: 2 })
  expect((await call(proxy, '/v10/gateway/bot')).status).toBe(200)
})

test('a 429 that does not end is passed on after the retries, with its Retry-After', async () => {
  const { seen, url } = await upstream((_, response) => {
    response.writeHead(429, { 'retry-after': '0', 'content-type': 'application/json' }).end('{"retry_after":0.01}')
  })
  const proxy = await proxyTo(url, { maxRetries: 2 })
  const answer = await call(proxy, '/v10/users/@me')
  expect([answer.status, answer.headers.get('retry-after'), await answer.text()]).toEqual([
    429,
    '0',
    '{"retry_after":0.01}',
  ])
  expect(seen).toHaveLength(3)
})

test('a 429 of 23 hours is passed on at once, and Discord is not asked again before it is over', async () => {
  const { seen, url } = await upstream((_, response) => {
    const headers = { 'retry-after': '82800', 'x-ratelimit-reset-after': '82800', 'x-ratelimit-remaining': '0' }
    response.writeHead(429, { ...headers, 'x-ratelimit-bucket': 'bot' }).end('{"retry_after":82800}')
  })
  const proxy = await proxyTo(url)
  const answers = await Promise.all(Array.from({ length: 5 }, () => call(proxy, '/v10/gateway/bot')))
  expect(answers.map(({ status }) => status)).toEqual([429, 429, 429, 429, 429])
  expect(answers.map(({ headers }) => Number(headers.get('retry-after')))).toEqual(Array(5).fill(82_800))
  expect(seen).toHaveLength(1)
})

test('a global limit holds for every route', async () => {
  const { seen, url } = await upstream((_, response) => {
    response.writeHead(429, { 'retry-after': '3600', 'x-ratelimit-global': 'true' }).end('{"global":true}')
  })
  const proxy = await proxyTo(url)
  expect((await call(proxy, '/v10/gateway/bot')).status).toBe(429)
  const other = await call(proxy, '/v10/users/@me')
  expect([other.status, other.headers.get('generated-by-proxy')]).toEqual([429, 'true'])
  expect(seen).toHaveLength(1)
})

test('a used-up bucket is waited for, without a 429', async () => {
  let last = 0
  const gaps: number[] = []
  const { url } = await upstream((_, response) => {
    gaps.push(performance.now() - last)
    last = performance.now()
    response
      .writeHead(200, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset-after': '0.2', 'x-ratelimit-limit': '1' })
      .end('{}')
  })
  const proxy = await proxyTo(url)
  const answers = await Promise.all([1, 2, 3].map(() => call(proxy, '/v10/channels/1')))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  for (const gap of gaps.slice(1)) expect(gap).toBeGreaterThan(190)
})

test('no answer in time is a 504 that names the route, and the route works again afterwards', async () => {
  const simulator = await start()
  const proxy = await proxyTo(simulator.url, { timeoutMs: 1500 })
  simulator.control('http-errors', { delayMs: 60_000, count: 1 })
  const answer = await call(proxy, '/v10/gateway/bot?secret=1')
  const error = 'Discord did not answer GET /gateway/bot within 1500 ms.'
  expect([answer.status, await answer.json()]).toEqual([504, { error }])
  expect((await call(proxy, '/v10/gateway/bot')).status).toBe(200)
})

test('an unreachable Discord is a 502 for each caller, not a queue that never moves', async () => {
  const { url, server } = await upstream(() => undefined)
  server.close()
  const proxy = await proxyTo(url)
  for (let i = 0; i < 3; i += 1) {
    const answer = await call(proxy, '/v10/gateway/bot')
    expect([answer.status, await answer.json()]).toEqual([502, { error: expect.stringContaining('ECONNREFUSED') }])
  }
})

test('a body beyond the limit is a 413', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{}'))
  const proxy = await proxyTo(url, { bodyLimit: 1000 })
  const post = (size: number) => call(proxy, '/v10/channels/1/messages', { method: 'POST', body: 'x'.repeat(size) })
  expect((await post(1001)).status).toBe(413)
  expect(seen).toHaveLength(0)
  expect((await post(1000)).status).toBe(200)
})

test('100 callers at once, on one route and on many, are all answered, without the queue polling once a second', async () => {
  const { seen, url } = await upstream((_, response) => response.end('{"ok":true}'))
  const proxy = await proxyTo(url)
  const routes = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? '/v10/users/@me' : `/v10/channels/${i}/messages`))
  const answers = await Promise.all(routes.map((route) => call(proxy, route)))
  expect(answers.every(({ status }) => status === 200)).toBe(true)
  expect(seen).toHaveLength(100)
})

test('beyond maxRequests callers are told to come again', async () => {
  const simulator = await start()
  const proxy = await proxyTo(simulator.url, { maxRequests: 1, timeoutMs: 2000 })
  simulator.control('http-errors', { delayMs: 60_000, count: 1 })
  const [first, second] = await Promise.all([call(proxy, '/v10/gateway/bot'), call(proxy, '/v10/users/@me')])
  expect([first.status, second.status].sort()).toEqual([503, 504])
})

test('stopping lets a request under way finish', async () => {
  let answer = () => undefined as unknown
  const { seen, url } = await upstream((_, response) => {
    answer = () => response.end('{"late":true}')
  })
  const proxy = await proxyTo(url)
  const pending = call(proxy, '/v10/users/@me')
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const closing = proxy.close()
  answer()
  expect(await (await pending).json()).toEqual({ late: true })
  await closing
})

test('neither the token nor the key is ever logged', () => {
  expect(logged.length).toBeGreaterThan(0)
  expect(logged.filter((line) => line.includes(TOKEN) || line.includes(KEY))).toEqual([])
})

test('the command reads secrets from files, and says what is missing', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'rest-proxy-')), 'token')
  writeFileSync(file, `Bot ${TOKEN}\n`)
  const flags = { host: '127.0.0.1', port: 0, logLevel: 'silent' }
  expect(optionsOf({ ...flags, tokenFile: file, authorization: KEY })).toMatchObject({
    token: TOKEN,
    authorization: KEY,
  })
  const limited = { ...flags, tokenFile: file, authorization: KEY, memoryBudget: 2 ** 26 }
  expect(optionsOf(limited)).toMatchObject({ memoryBudget: 2 ** 26 })
  expect(() => optionsOf({ ...flags, tokenFile: file })).toThrow('no authorization: give --authorization-file')
})
