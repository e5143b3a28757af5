import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createServer, type WorkerServer } from '../../../sharder/server.ts'
import { FROM_MANAGER } from '../../../src/limits.ts'
import type { Command } from '../../../src/protocol/commands.ts'
import { FAILURE_STATUS, type FailureCode, failure, failureSchema } from '../../../src/protocol/failures.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { until } from '../../support/sharder.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const headers = { authorization: 'the key' }
let app: WorkerServer
let base: string
let key: string
let clock: VirtualClock
let handled: { command: Command; signal: AbortSignal }[]
let handle: (command: Command, signal: AbortSignal) => ReturnType<Parameters<typeof createServer>[0]['handle']>
let healthy: boolean

beforeEach(async () => {
  key = 'the key'
  clock = new VirtualClock()
  handled = []
  healthy = true
  handle = async () => ({ ok: true, body: { released: [], sessions: [] } })
  app = createServer({
    clock,
    logger: createLogger('test', 'silent'),
    key: async () => key,
    handle(command, signal) {
      handled.push({ command, signal })
      return handle(command, signal)
    },
    snapshot: () => '{"type":"SNAPSHOT"}',
    watch: () => {
      throw new Error('not here')
    },
    healthy: async () => healthy,
    metrics: async () => ({ contentType: 'text/plain', text: 'a 1' }),
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
