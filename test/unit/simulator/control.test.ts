import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, fetch } from 'undici'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ZodError } from 'zod'
import { optionsOf } from '../../../src/simulator/command.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { counters, until } from './client.ts'
import { simulators, TOKEN } from './harness.ts'
import { ManualClock } from './manual-clock.ts'
import { TEST_CERTIFICATE, TEST_KEY } from './tls.ts'

const { start, connect } = simulators()
const authorization = `Bot ${TOKEN}`

async function get(simulator: Simulator, path: string, headers: Record<string, string> = { authorization }) {
  const response = await fetch(simulator.url + path, { headers })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? '' : JSON.parse(text) }
}

async function post(simulator: Simulator, command: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${simulator.url}/control/${command}`, {
    method: 'POST',
    ...(body === undefined ? { headers } : { headers: { 'content-type': 'application/json', ...headers } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape.
  return { status: response.status, body: (await response.json()) as any }
}

test.each(['/api/v10', '/v10', '/api/v9', '/api'])('%s/gateway/bot tells the limits as they are now', async (base) => {
  const simulator = await start({}, { maxConcurrency: 64, sessionStartTotal: 25_000, recommendedShards: 5120 })
  expect((await get(simulator, `${base}/gateway/bot`)).body).toEqual({
    url: simulator.gatewayUrl,
    shards: 5120,
    session_start_limit: { total: 25_000, remaining: 25_000, reset_after: 0, max_concurrency: 64 },
  })
})

test('remaining and reset_after count IDENTIFYs, not RESUMEs', async () => {
  const simulator = await start({}, { sessionStartTotal: 10 }, new ManualClock())
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  client.ws.terminate()
  const again = connect(simulator)
  await again.op(10)
  again.send(6, { token: TOKEN, session_id: ready.d.session_id, seq: 1 })
  await again.event('RESUMED')
  const { session_start_limit } = (await get(simulator, '/v10/gateway/bot')).body
  expect(session_start_limit).toMatchObject({ total: 10, remaining: 9, reset_after: 86_400_000 })
})

test('the other routes: gateway, users/@me, 401 and 404 as Discord words them', async () => {
  const simulator = await start({ gatewayUrl: 'wss://gateway.example/' })
  expect((await get(simulator, '/api/v10/gateway', {})).body).toEqual({ url: 'wss://gateway.example/' })
  expect((await get(simulator, '/api/v10/users/@me')).body).toMatchObject({ id: '1000000000000000000', bot: true })
  for (const headers of [{}, { authorization: 'Bot wrong' }, { authorization: TOKEN }]) {
    const answer = await get(simulator, '/api/v10/gateway/bot', headers as Record<string, string>)
    expect([answer.status, answer.body]).toEqual([401, { message: '401: Unauthorized', code: 0 }])
  }
  expect(await get(simulator, '/api/v10/nothing')).toMatchObject({
    status: 404,
    body: { message: '404: Not Found', code: 0 },
  })
})

test('Get Gateway Bot is limited when asked for, with the headers and body of Discord', async () => {
  const clock = new ManualClock()
  const simulator = await start({ gatewayBotLimit: { requests: 2, windowMs: 5000 } }, {}, clock)
  expect((await get(simulator, '/v10/gateway/bot')).headers.get('x-ratelimit-remaining')).toBe('1')
  await get(simulator, '/v10/gateway/bot')
  clock.advance(2500)
  const limited = await get(simulator, '/v10/gateway/bot')
  expect(limited).toMatchObject({ status: 429, body: { retry_after: 2.5, global: false } })
  expect(limited.headers.get('retry-after')).toBe('3')
  clock.advance(2500)
  expect((await get(simulator, '/v10/gateway/bot')).status).toBe(200)
})

test('REST can be broken for n requests: 429, 401, an empty 503, and slow', async () => {
  const simulator = await start()
  simulator.control('http-errors', { status: 429, retryAfter: 0.5, count: 1 })
  const limited = await get(simulator, '/v10/gateway/bot')
  expect(limited).toMatchObject({ status: 429, body: { retry_after: 0.5 } })
  expect(limited.headers.get('x-ratelimit-reset-after')).toBe('0.5')
  simulator.control('http-errors', { status: 401, count: 1 })
  expect((await get(simulator, '/v10/gateway/bot')).status).toBe(401)
  simulator.control('http-errors', { status: 503, count: 1 })
  expect(await get(simulator, '/v10/gateway/bot')).toMatchObject({ status: 503, body: '' })
  simulator.control('http-errors', { delayMs: 60_000, count: 1 })
  await expect(fetch(`${simulator.url}/v10/gateway`, { signal: AbortSignal.timeout(100) })).rejects.toThrow()
  expect((await get(simulator, '/v10/gateway')).status).toBe(200)
})

test('control over HTTP: 404 for an unknown command, 400 that names the field, 401 without the key', async () => {
  const simulator = await start()
  expect(await post(simulator, 'explode')).toEqual({ status: 404, body: { message: 'there is no command explode' } })
  const wrong = await post(simulator, 'close', { code: 12, shards: [] })
  expect(wrong.status).toBe(400)
  expect(wrong.body.message).toContain('at code')
  expect(wrong.body.message).toContain('at shards')
  expect((await post(simulator, 'reconnect', { shard: 1 })).status).toBe(400)
  expect(() => simulator.control('max-concurrency', { value: 0 })).toThrow(ZodError)
  const locked = await start({ controlKey: 'open sesame' })
  expect((await post(locked, 'reset-violations')).status).toBe(401)
  expect((await post(locked, 'reset-violations', undefined, { authorization: 'open sesame' })).status).toBe(200)
  expect((await get(locked, '/control/stats', {})).status).toBe(401)
})

test('drop-sockets, close, reconnect, invalidate and request-heartbeat reach the chosen shards only', async () => {
  const simulator = await start()
  const [zero, one] = [connect(simulator), connect(simulator)]
  await zero.ready(TOKEN, [0, 2])
  await one.ready(TOKEN, [1, 2])
  expect((await post(simulator, 'reconnect', { shards: [1] })).body).toEqual({ affected: 1 })
  expect(await one.op(7)).toEqual({ t: null, s: null, op: 7, d: null })
  simulator.control('request-heartbeat', { shards: [1] })
  await one.op(1)
  simulator.control('invalidate', { shards: [1], resumable: true })
  expect((await one.op(9)).d).toBe(true)
  expect(simulator.stats().sessions).toBe(2)
  simulator.control('invalidate', { shards: [1] })
  await one.next(({ op, d }) => op === 9 && d === false)
  expect(simulator.stats().sessions).toBe(1)
  expect(simulator.control('close', { totalShards: 3, code: 4000 })).toEqual({ affected: 0 })
  expect(zero.payloads.some(({ op }) => op === 7 || op === 9)).toBe(false)
  simulator.control('close', { shards: [0], totalShards: 2, code: 4000 })
  expect((await zero.closed).code).toBe(4000)
  simulator.control('drop-sockets')
  expect((await one.closed).code).toBe(1006)
  await until(() => simulator.stats().openConnections === 0)
  expect(simulator.stats().closes).toEqual({ 1006: 1, 4000: 1 })
})

test('heartbeat ACKs stop for the chosen shard, a number of times or until cleared', async () => {
  const simulator = await start()
  const client = connect(simulator)
  await client.ready(TOKEN, [1, 2])
  simulator.control('no-heartbeat-ack', { shards: [0] })
  client.send(1, null)
  await client.op(11)
  simulator.control('no-heartbeat-ack', { shards: [1], count: 2 })
  for (let i = 0; i < 3; i += 1) client.send(1, null)
  await client.op(11, client.payloads.length)
  expect(client.payloads.filter(({ op }) => op === 11)).toHaveLength(2)
  expect(simulator.stats().receivedOps['1']).toBe(4)
})

test('a forgotten connection has its heartbeats answered and gets no event', async () => {
  const simulator = await start()
  const client = connect(simulator)
  await client.ready(TOKEN, [0, 1])
  client.send(1, null)
  await client.op(11)
  expect(simulator.control('forget', { shards: [0] })).toEqual({ affected: 1 })
  const before = client.payloads.length
  expect(simulator.control('burst', { count: 1 })).toEqual({ affected: 1 })
  await until(() => simulator.stats().burstsLeft === 0)
  client.send(1, null)
  await client.op(11, before)
  expect(client.payloads.slice(before).map(({ op }) => op)).toEqual([11])
})

test('connects are reset, refused with a status, or left hanging; HELLO stays out; READY comes late', async () => {
  const clock = new ManualClock()
  const simulator = await start({}, {}, clock)
  simulator.control('refuse-connects', { count: 1 })
  expect((await connect(simulator).closed).code).toBe(1006)
  simulator.control('refuse-connects', { mode: 503, count: 1 })
  const status = new Promise((resolve) => {
    new WebSocket(simulator.gatewayUrl).on('unexpected-response', (_, response) => resolve(response.statusCode))
  })
  expect(await status).toBe(503)
  simulator.control('refuse-connects', { mode: 'hang', milliseconds: 1000 })
  const hanging = connect(simulator)
  await until(() => simulator.stats().refusedConnects === 3)
  clock.advance(1000)
  simulator.control('silence-hello', { count: 1 })
  const silent = connect(simulator)
  await until(() => simulator.stats().openConnections === 1)
  const client = connect(simulator)
  simulator.control('delay-ready', { milliseconds: 500 })
  await client.identify(TOKEN, [0, 1])
  client.send(1, null)
  await client.op(11)
  expect(client.payloads.map(({ op }) => op)).toEqual([10, 11])
  clock.advance(500)
  await client.event('READY')
  expect(silent.payloads).toEqual([])
  expect(hanging.ws.readyState).toBe(hanging.ws.CONNECTING)
})

test('max_concurrency and remaining change while running', async () => {
  const simulator = await start({ bots: [{ token: TOKEN }, { token: fakeToken('7') }] })
  simulator.control('max-concurrency', { value: 64 })
  simulator.control('remaining', { value: 5, applicationId: '7' })
  expect(simulator.stats().bots.map(({ maxConcurrency }) => maxConcurrency)).toEqual([64, 64])
  expect(simulator.stats().bots.map(({ sessionStart }) => sessionStart.remaining)).toEqual([25_000, 5])
})

test('violations can be reset; stats are the same over HTTP', async () => {
  const simulator = await start()
  const client = connect(simulator)
  await client.op(10)
  client.send(99, null)
  await client.closed
  expect(simulator.stats().violations.protocol).toBe(1)
  await until(() => simulator.stats().openConnections === 0)
  expect((await get(simulator, '/control/stats?detail=1', {})).body).toEqual(simulator.stats({ detail: true }))
  simulator.control('reset-violations')
  expect(simulator.stats()).toMatchObject({ violations: { protocol: 0 }, violationDetails: [] })
})

test('traffic respects intents and is spread evenly over shards', async () => {
  const simulator = await start({ eventsPerSecond: 1000, guildsPerShard: 0 })
  const [messages, all, deaf] = [connect(simulator), connect(simulator), connect(simulator)]
  await messages.ready(TOKEN, [0, 3], 1 << 9)
  await all.ready(TOKEN, [1, 3], 0x331_ffff)
  await deaf.ready(TOKEN, [2, 3], 1 << 16)
  await until(() => counters(messages).length > 200 && counters(all).length > 200)
  simulator.control('events-per-second', { value: 0 })
  expect(new Set(messages.payloads.map(({ t }) => t))).toEqual(new Set([null, 'READY', 'MESSAGE_CREATE']))
  expect(new Set(all.payloads.map(({ t }) => t)).size).toBe(9)
  expect(deaf.payloads.map(({ t }) => t)).toEqual([null, 'READY'])
  const { shards } = simulator.stats({ detail: true }).bots[0] ?? {}
  const [a, b] = [shards?.['0/3']?.counter ?? 0, shards?.['1/3']?.counter ?? 0]
  expect(shards?.['2/3']?.counter).toBe(0)
  expect(Math.abs(a - b)).toBeLessThan(60)
  const message = messages.texts.find((text) => text.includes('MESSAGE_CREATE')) ?? ''
  expect(message.length).toBeGreaterThan(1000)
  expect(message.length).toBeLessThan(1500)
})

test('https and wss with a PEM key and certificate', async () => {
  const simulator = await start({ tls: { key: TEST_KEY, cert: TEST_CERTIFICATE } })
  expect(simulator.url).toMatch(/^https:/)
  const dispatcher = new Agent({ connect: { ca: TEST_CERTIFICATE } })
  const response = await fetch(`${simulator.url}/v10/gateway/bot`, { headers: { authorization }, dispatcher })
  expect(await response.json()).toMatchObject({ url: simulator.gatewayUrl })
  await dispatcher.close()
  await connect(simulator, 'v=10&encoding=json', { ca: TEST_CERTIFICATE }).ready(TOKEN, [0, 1])
})

test('the time scale divides windows and lifetimes; what is given in milliseconds is not scaled', async () => {
  const simulator = await start({ timeScale: 50, identifyWindowMs: 77 })
  expect(simulator.settings.times).toEqual({
    heartbeatIntervalMs: 1017,
    identifyWindowMs: 77,
    sessionLifetimeMs: 1800,
    sessionStartWindowMs: 1_728_000,
    sendWindowMs: 1200,
    membersWindowMs: 600,
  })
})

test('wrong options name the option; a token must hold an application id; a taken port is an error', async () => {
  await expect(startSimulator({ timeScale: 0 })).rejects.toThrow('timeScale')
  await expect(startSimulator({ bots: [{ token: 'secret' }] })).rejects.toThrow('base64 of the application id')
  const simulator = await start()
  await expect(startSimulator({ port: Number(new URL(simulator.url).port) })).rejects.toThrow('EADDRINUSE')
})

test('flags win over the file, and leave alone what they do not name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'simulator-'))
  const [config, tokenFile] = [join(directory, 'config.yaml'), join(directory, 'token')]
  writeFileSync(config, 'timeScale: 10\nguildsPerShard: 7\nbots:\n  - { shardMultiple: 16, maxConcurrency: 2 }\n')
  writeFileSync(tokenFile, `${fakeToken('9')}\n`)
  const flags = { config, tokenFile, host: '127.0.0.1', port: 0, timeScale: 50, maxConcurrency: 64, logLevel: 'silent' }
  expect(optionsOf(flags)).toEqual({
    host: '127.0.0.1',
    port: 0,
    timeScale: 50,
    guildsPerShard: 7,
    bots: [{ token: fakeToken('9'), shardMultiple: 16, maxConcurrency: 64 }],
  })
})
