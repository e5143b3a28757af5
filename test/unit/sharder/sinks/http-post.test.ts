import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type PostOptions, type PostResult, post } from '../../../../sharder/sinks/http-post.ts'
import { Pool } from '../../../../sharder/sinks/undici-pool.ts'

const KEY = 'the key of the bot'
const endings: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

async function serve(listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  endings.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return server
}

function poolTo(port: number): InstanceType<typeof Pool> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 1, pipelining: 1 })
  endings.push(() => pool.destroy())
  return pool
}

/** Sends `[]` to a server that answers so. */
async function posted(listener: RequestListener, options: Partial<PostOptions> = {}): Promise<PostResult> {
  const server = await serve(listener)
  return send(poolTo((server.address() as AddressInfo).port), options)
}

function send(pool: InstanceType<typeof Pool>, options: Partial<PostOptions> = {}): Promise<PostResult> {
  const rest = { path: '/', contentType: 'application/json', authorization: KEY, timeoutMs: 10_000 }
  return post(Buffer.from('[]'), { pool, ...rest, ...options })
}

describe('the answer to one request', () => {
  it.each([
    [204, {}, { kind: 'acknowledged' }],
    [401, {}, { kind: 'unauthorized', message: 'it answered 401: check its authorization key' }],
    [413, {}, { kind: 'too-large', message: 'it answered 413: raise its body limit above the largest event' }],
    [500, {}, { kind: 'failed', message: 'it answered 500' }],
    [429, { 'retry-after': '2' }, { kind: 'failed', message: 'it answered 429', retryAfterMs: 2_000 }],
    [503, { 'retry-after': '999' }, { kind: 'failed', message: 'it answered 503', retryAfterMs: 60_000 }],
    [503, { 'retry-after': 'soon' }, { kind: 'failed', message: 'it answered 503' }],
  ])('is what %i means, with %j', async (status, headers, expected) => {
    expect(await posted((_, response) => response.writeHead(status, headers).end('some words'))).toEqual(expected)
  })

  it('is the last one, after early hints', async () => {
    const result = await posted((_, response) => {
      response.writeEarlyHints({ link: '</events>; rel=preload' }, () => response.writeHead(403).end())
    })
    expect(result).toMatchObject({ kind: 'unauthorized' })
  })

  it('counts, however long it goes on', async () => {
    const result = await posted((_, response) => {
      response.writeHead(200)
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(64 * 1024), more)
      }
      more()
    })
    expect(result).toEqual({ kind: 'acknowledged' })
  })
})

describe('a request without an answer', () => {
  const late = { kind: 'failed', message: 'it gave no answer within 0.2 s' }

  it('is given up at its deadline', async () => {
    expect(await posted(() => undefined, { timeoutMs: 200 })).toEqual(late)
  })

  it('is given up when its end does not come, though it trickles', async () => {
    const result = await posted(
      (_, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write('.'), 20)
        response.once('close', () => clearInterval(timer))
      },
      { timeoutMs: 200 },
    )
    expect(result).toEqual(late)
  })

  it('is given up while it waits for the connection, and never sent', async () => {
    let requests = 0
    const server = await serve((_, response) => {
      requests++
      setTimeout(() => response.writeHead(204).end(), 600)
    })
    const pool = poolTo((server.address() as AddressInfo).port)
    const first = send(pool)
    expect(await send(pool, { timeoutMs: 200 })).toEqual(late)
    expect(await first).toEqual({ kind: 'acknowledged' })
    expect(await send(pool)).toEqual({ kind: 'acknowledged' })
    expect(requests).toBe(2)
  })

  it('says why the server could not be reached', async () => {
    const gone = createTcpServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    await new Promise((resolve) => gone.close(resolve))
    expect(await send(poolTo(port))).toEqual({ kind: 'failed', message: 'it could not be reached (ECONNREFUSED)' })
  })

  it('says so when the connection breaks in the middle', async () => {
    const result = await posted((request) => request.socket.destroy())
    expect(result).toEqual({ kind: 'failed', message: expect.stringMatching(/^it could not be reached \(\w+\)$/) })
  })

  it('does not show a key that cannot be a header', async () => {
    const result = await posted((_, response) => response.end(), { authorization: `${KEY}\nof two lines` })
    expect(result).toMatchObject({ kind: 'failed' })
    expect(JSON.stringify(result)).not.toContain(KEY)
  })
})
