import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createServer, type WorkerServer } from '../../../sharder/server.ts'
import { FROM_MANAGER, SERVERS } from '../../../src/limits.ts'
import type { Command } from '../../../src/protocol/commands.ts'
import { FAILURE_STATUS, type FailureCode, failure, failureSchema } from '../../../src/protocol/failures.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { until } from '../../support/sharder.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const headers = { authorization: 'the key' }
let app: WorkerServer
let base: string
let key: string
/** How often the key was looked at. */
let asked: number
let clock: VirtualClock
let handled: { command: Command; signal: AbortSignal }[]
let handle: (command: Command, signal: AbortSignal) => ReturnType<Parameters<typeof createServer>[0]['handle']>
let healthy: boolean
let collected: { healthy: number; metrics: number }
/** Lines of the log. */
let logged: string[]

beforeEach(async () => {
  key = 'the key'
  asked = 0
  clock = new VirtualClock()
  handled = []
  healthy = true
  collected = { healthy: 0, metrics: 0 }
  logged = []
  handle = async () => ({ ok: true, body: { released: [], sessions: [] } })
  app = createServer({
    clock,
    logger: createLogger('test', 'info', { write: (line) => logged.push(line) }),
    key: async () => {
      asked++
      return key
    },
    handle(command, signal) {
      handled.push({ command, signal })
      return handle(command, signal)
    },
    snapshot: () => '{"type":"SNAPSHOT"}',
    watch: () => {
      throw new Error('not here')
    },
    healthy: async () => {
      collected.healthy++
      return healthy
    },
    metrics: async () => ({ contentType: 'text/plain', text: `a ${++collected.metrics}` }),
    limits: { ...SERVERS, connections: 10 },
  })
  base = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterEach(() => app.close())

interface Asked {
  readonly url: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly payload?: string
}

/** A real request to the server, read to its end. */
async function ask({ url, method = 'GET', headers = {}, payload }: Asked) {
  const answer = await fetch(base + url, { method, headers, ...(payload !== undefined && { body: payload }) })
  const body = await answer.text()
  return { statusCode: answer.status, body, json: (): unknown => JSON.parse(body) }
}

const post = (payload: string, more: Record<string, string> = {}, url = '/') =>
  ask({ method: 'POST', url, headers: { ...headers, ...more }, payload })
const identify = JSON.stringify({ type: 'IDENTIFY_SHARD', shardId: 3 })

describe('the key', () => {
  it.each([undefined, '', 'the kez', 'the key!', 'the key'.repeat(50)])(
    'refuses %j on every route but the probes',
    async (given) => {
      const wrong = given === undefined ? {} : { authorization: given }
      const routes = [
        ['POST', '/'],
        ['POST', '/x'],
        ['GET', '/shards'],
        ['GET', '/nothing'],
        ['PUT', '/'],
      ] as const
      for (const [method, url] of routes) {
        const payload = method === 'GET' ? {} : { payload: identify }
        const answer = await ask({ method, url, headers: { ...wrong }, ...payload })
        expect([url, answer.statusCode]).toEqual([url, 401])
        expect(answer.json()).toMatchObject({ error: 'Invalid authorization key.', status: 401, code: 'UNAUTHORIZED' })
        expect(answer.body).not.toContain('the key')
      }
      expect(handled).toEqual([])
    },
  )

  it('follows a rotated key', async () => {
    expect((await post(identify)).statusCode).toBe(200)
    key = 'another'
    expect((await post(identify)).statusCode).toBe(401)
    expect((await post(identify, { authorization: 'another' })).statusCode).toBe(200)
  })
})

describe('commands', () => {
  it.each([
    ['no content type', {}],
    ['what fetch says of a string', { 'content-type': 'text/plain;charset=UTF-8' }],
    ['JSON', { 'content-type': 'application/json' }],
  ])('takes JSON with %s, on any path', async (_, more) => {
    expect((await post(identify, more, '/some/path?x=1')).statusCode).toBe(200)
    expect(handled[0]?.command).toEqual({ type: 'IDENTIFY_SHARD', shardId: 3, slotInMs: 0 })
  })

  it.each([
    ['', 'empty'],
    ['{', 'not JSON'],
    ['[]', 'object'],
    ['"IDENTIFY_SHARD"', 'object'],
    ['{}', 'type:'],
    ['{"type":7}', 'type:'],
    ['{"type":"IDENTIFY_SHARD"}', 'shardId'],
    ['{"type":"IDENTIFY_SHARD","shardId":"3"}', 'shardId'],
    ['{"type":"IDENTIFY_SHARD","shardId":-1}', 'shardId'],
    ['{"type":"IDENTIFY_SHARD","shardId":1,"slotInMs":99999999}', 'slotInMs'],
    ['{"type":"RELEASE_SHARDS","epoch":1,"shardIds":[0,"x"]}', 'shardIds[1]'],
    [
      '{"type":"ASSIGN_SHARDS","epoch":1,"totalShards":1,"first":0,"last":0,"gateway":{"url":"http://x"}}',
      'gateway.url',
    ],
  ])('answers 400 to %s and names what is wrong', async (body, names) => {
    const answer = await post(body)
    expect(answer.statusCode).toBe(400)
    const parsed = failureSchema.parse(answer.json())
    expect(parsed.code).toBe('BAD_REQUEST')
    expect(parsed.message).toContain(names)
    expect(handled).toEqual([])
  })

  it('answers as the guide does to a type it does not know', async () => {
    const answer = await post('{"type":"DANCE"}')
    expect(answer.statusCode).toBe(404)
    expect(answer.json()).toMatchObject({ message: 'Unknown request received.', status: 404, code: 'UNKNOWN_TYPE' })
  })

  it('answers 413 before it has read a body that is too large to its end, and closes the connection', async () => {
    const head = `POST / HTTP/1.1\r\nhost: worker\r\nauthorization: ${key}\r\ncontent-length: 900000000000\r\n\r\n`
    const rest = 'x'.repeat(FROM_MANAGER.discardedBytes + 1)
    const answer = await exchange(head + 'x'.repeat(FROM_MANAGER.bodyBytes + 1), rest)
    expect(answer).toMatch(/^HTTP\/1\.1 413 .*connection: close.*TOO_LARGE/is)
    expect(logged).toEqual([])
  })

  it('logs nothing of a body whose sender left in the middle of it', async () => {
    const client = connect(app.port, '127.0.0.1')
    client.write(`POST / HTTP/1.1\r\nhost: worker\r\nauthorization: ${key}\r\ncontent-length: 1000\r\n\r\n{`)
    await once(client, 'connect')
    await until(() => asked > 0)
    client.destroy()
    await once(client, 'close')
    // The server has seen it leave when another who came later was answered.
    expect((await post(identify)).statusCode).toBe(200)
    expect(logged).toEqual([])
  })

  it('answers 413 to a body that is too large', async () => {
    const answer = await post(`{"type":"${'x'.repeat(FROM_MANAGER.bodyBytes)}"}`)
    expect(answer.statusCode).toBe(413)
    expect(failureSchema.parse(answer.json()).code).toBe('TOO_LARGE')
  })

  it.each(Object.keys(FAILURE_STATUS) as FailureCode[])('answers %s with its status', async (code) => {
    handle = async () => ({ ok: false, failure: failure(code, 'why', { closeCode: 4014, identifiedMsAgo: 12 }) })
    const answer = await post(identify)
    expect(answer.statusCode).toBe(FAILURE_STATUS[code])
    expect(answer.json()).toMatchObject({ code, message: 'why', status: FAILURE_STATUS[code], identifiedMsAgo: 12 })
  })

  it('answers 500 with a message when something is wrong inside', async () => {
    handle = async () => Promise.reject(new Error('a thread is confused'))
    const answer = await post(identify)
    expect(answer.statusCode).toBe(500)
    expect(failureSchema.parse(answer.json())).toMatchObject({ code: 'INTERNAL', message: 'a thread is confused' })
  })

  it('tells when the manager hangs up before it was answered', async () => {
    handle = (_command, signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => resolve({ ok: true, body: { released: [], sessions: [] } })),
      )
    const client = new AbortController()
    const request = fetch(base, { method: 'POST', headers, body: identify, signal: client.signal }).catch(() => 'gone')
    await until(() => handled.length === 1)
    expect(handled[0]?.signal.aborted).toBe(false)
    client.abort()
    expect(await request).toBe('gone')
    await until(() => handled[0]?.signal.aborted === true)
  })
})

/** Everything that comes back on a connection until the server ends it. */
async function exchange(text: string, ...more: readonly string[]): Promise<string> {
  const client = connect(app.port, '127.0.0.1')
  client.on('error', () => {})
  client.write(text)
  const parts: Buffer[] = []
  const waiting = [...more]
  client.on('data', (part: Buffer) => {
    parts.push(part)
    for (const next of waiting.splice(0)) client.write(next)
  })
  await once(client, 'close')
  return Buffer.concat(parts).toString()
}

describe('strangers', () => {
  it.each(['//', '//x:99999/', 'http://[', 'http://x:99999/metrics', '/\\\\', 'http://', 'x:y:z'])(
    'are answered as elsewhere when they ask for %j, and nothing is logged',
    async (target) => {
      for (const method of ['GET', 'POST', 'PUT']) {
        const answer = await exchange(`${method} ${target} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n`)
        expect([method, answer.split('\r\n')[0]]).toEqual([
          method,
          expect.stringMatching(/^HTTP\/1\.1 (401 Unauthorized|404 Not Found|400 Bad Request)$/),
        ])
      }
      expect(logged).toEqual([])
    },
  )

  it('have metrics and health worked out once, however many ask, and once a second', async () => {
    for (const round of [1, 2]) {
      for (let i = 0; i < 3; i++) {
        const answers = await Promise.all(Array.from({ length: 5 }, () => ask({ url: '/metrics' })))
        expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([`a ${round}`]))
        await Promise.all(Array.from({ length: 5 }, () => ask({ url: '/healthz' })))
      }
      expect(collected).toEqual({ healthy: round, metrics: round })
      await clock.advance(FROM_MANAGER.probeKeptMs)
    }
  })

  it('read why they are refused before their body is there, and lose the connection with it', async () => {
    const head = 'POST / HTTP/1.1\r\nhost: worker\r\ntransfer-encoding: chunked\r\n\r\n'
    // Told before the body has ended, and before another request on the same connection would be read.
    const answer = await exchange(head, '1\r\nx\r\n0\r\n\r\nGET /readyz HTTP/1.1\r\nhost: worker\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 401 .*connection: close.*UNAUTHORIZED/is)
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  })

  it('are not read for ever', async () => {
    const head = 'POST / HTTP/1.1\r\nhost: worker\r\ncontent-length: 900000000000\r\n\r\n'
    const body = 'x'.repeat(FROM_MANAGER.discardedBytes + 1)
    expect(await exchange(head, body)).toContain('401 Unauthorized')
  })

  it('who hold every connection do not keep the manager out', async () => {
    const idle = Array.from({ length: 30 }, () => connect(app.port, '127.0.0.1').on('error', () => {}))
    await Promise.all(idle.map((client) => once(client, 'connect')))
    await until(() => idle.filter(({ readyState }) => readyState === 'open').length <= 10)
    expect((await post(identify)).statusCode).toBe(200)
    for (const client of idle) client.destroy()
  })
})

describe('the other routes', () => {
  it('serves probes and metrics without a key', async () => {
    for (const url of ['/healthz', '/readyz', '/metrics']) {
      expect([url, (await ask({ url })).statusCode]).toEqual([url, 200])
    }
    healthy = false
    expect((await ask({ url: '/healthz' })).statusCode).toBe(200)
    await clock.advance(FROM_MANAGER.probeKeptMs)
    expect((await ask({ url: '/healthz' })).statusCode).toBe(503)
  })

  it('serves the snapshot', async () => {
    const answer = await ask({ url: '/shards', headers })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({ type: 'SNAPSHOT' })
  })

  it('answers 404 to a route that is none', async () => {
    expect((await ask({ url: '/nothing', headers })).statusCode).toBe(404)
  })
})
