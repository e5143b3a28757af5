import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DISCORD_GATEWAY_HOSTS } from '../../../src/api/gateway-hosts.ts'
import { FROM_REST_PROXY } from '../../../src/limits.ts'
import { restSessionInfo, sessionInfoSchema } from '../../../src/manager/session-info.ts'
import { runs } from '../../support/fuzz.ts'
import { type Answer, httpServer, json } from './http-server.ts'

const TOKEN = 'MTIzNDU2Nzg5MDEyMzQ1Njc4.secret.part'
const KEY = 'key-of-the-proxy'
const gatewayHosts = DISCORD_GATEWAY_HOSTS
const INFO = {
  ...{ url: 'wss://gateway.discord.gg', shards: 9 },
  session_start_limit: { total: 1_000, remaining: 999, reset_after: 14_400_000, max_concurrency: 16 },
}

const asked = async (answer: Answer, authorization: string | undefined = KEY, timeoutMs = 5_000) => {
  await using server = await httpServer(answer)
  const result = await restSessionInfo({
    baseUrl: server.url,
    authorization,
    token: TOKEN,
    timeoutMs,
    gatewayHosts,
  }).ask()
  return { result, requests: server.requests, text: JSON.stringify(result) }
}

test('200: the session info, asked for once at <baseUrl>/v10/gateway/bot with the key of the proxy', async () => {
  const { result, requests } = await asked(json(200, INFO))
  expect(result).toEqual({
    ok: true,
    info: {
      ...{ url: 'wss://gateway.discord.gg', shards: 9 },
      limit: { total: 1_000, remaining: 999, resetAfter: 14_400_000, maxConcurrency: 16 },
    },
  })
  expect(requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([['/v10/gateway/bot', KEY]])
})

test('without a key the bot token is sent, as nirn-proxy wants it', async () => {
  await using server = await httpServer(json(200, INFO))
  await restSessionInfo({
    baseUrl: server.url,
    authorization: undefined,
    token: TOKEN,
    timeoutMs: 5_000,
    gatewayHosts,
  }).ask()
  expect(server.requests[0]?.headers.authorization).toBe(`Bot ${TOKEN}`)
})

test.each<[string, Answer, string, RegExp]>([
  [
    'other JSON',
    json(200, { hello: 'world' }),
    'RestProxyUnavailable',
    /something else than Discord's session info.*check rest\.baseUrl/,
  ],
  [
    'no bucket',
    json(200, { ...INFO, session_start_limit: { ...INFO.session_start_limit, max_concurrency: 0 } }),
    'RestProxyUnavailable',
    /something else/,
  ],
  ['a gateway URL that is none', json(200, { ...INFO, url: 'http://example.com' }), 'RestProxyUnavailable', /url/],
  ['a web page', json(200, '<html>hello</html>'), 'RestProxyUnavailable', /REST proxy at http/],
  ['401 of Discord', json(401, { message: '401: Unauthorized', code: 0 }), 'TokenRejected', /tokenSecretRef/],
  [
    '401 of the proxy',
    json(401, { error: 'invalid key' }),
    'RestProxyUnauthorized',
    /refused the key \(401\).*rest\.authorizationSecretRef/,
  ],
  ['403 of the proxy', json(403, { error: 'forbidden' }), 'RestProxyUnauthorized', /\(403\)/],
  ['404', json(404, { message: 'no such route' }), 'RestProxyUnavailable', /answered 404/],
  ['500 without a body', json(500, ''), 'RestProxyUnavailable', /REST proxy at http/],
  ['502 with a page', json(502, '<html>Bad Gateway</html>'), 'RestProxyUnavailable', /REST proxy at http/],
  ['a connection that is cut', (_, response) => response.destroy(), 'RestProxyUnavailable', /could not be asked/],
])('%s', async (_, answer, reason, message) => {
  const { result, text } = await asked(answer)
  expect(result).toMatchObject({ ok: false, problem: { reason, message: expect.stringMatching(message) } })
  expect(text).not.toContain(TOKEN)
  expect(text).not.toContain('secret')
  expect(text).not.toContain(KEY)
})

test('429: not to be asked again before retry_after', async () => {
  const { result } = await asked(
    json(429, { message: 'You are being rate limited.', retry_after: 12.5, global: false }),
  )
  expect(result).toMatchObject({
    ok: false,
    problem: { reason: 'RestProxyRateLimited', retryAfterMs: 12_500, message: expect.stringMatching(/13 s \(429\)/) },
  })
})

test('429 with a page of Cloudflare: a minute', async () => {
  const { result } = await asked(json(429, '<html>error 1015</html>'))
  expect(result).toMatchObject({ ok: false, problem: { reason: 'RestProxyRateLimited', retryAfterMs: 60_000 } })
})

test('a proxy that hangs is given up', async () => {
  const { result, text } = await asked(() => {}, undefined, 100)
  expect(result).toMatchObject({
    ok: false,
    problem: { reason: 'RestProxyUnavailable', message: expect.stringMatching(/did not answer within 0\.1 s/) },
  })
  expect(text).not.toContain('secret')
})

test('a proxy that is not there', async () => {
  const server = await httpServer(json(200, INFO))
  await server[Symbol.asyncDispose]()
  const source = restSessionInfo({
    baseUrl: server.url,
    authorization: KEY,
    token: TOKEN,
    timeoutMs: 5_000,
    gatewayHosts,
  })
  const result = await source.ask()
  expect(result).toMatchObject({
    ok: false,
    problem: { reason: 'RestProxyUnavailable', message: expect.stringMatching(/ECONNREFUSED/) },
  })
})

describe('an answer that Discord would not give', () => {
  const limit = (more: object) => json(200, { ...INFO, session_start_limit: { ...INFO.session_start_limit, ...more } })

  test.each<[string, Answer, string]>([
    ['a number of years', limit({ reset_after: 1e300 }), 'session_start_limit.reset_after'],
    ['more IDENTIFYs than a status holds', limit({ total: 2 ** 31 }), 'session_start_limit.total'],
    ['as many left', limit({ remaining: 2 ** 53 }), 'session_start_limit.remaining'],
    ['100,000 buckets', limit({ max_concurrency: 100_000 }), 'session_start_limit.max_concurrency'],
    ['more shards than a bot has', json(200, { ...INFO, shards: 100_001 }), 'shards'],
    ['an address without end', json(200, { ...INFO, url: `wss://${'g'.repeat(600)}` }), 'url'],
  ])('%s: the field is named, and nothing of it is taken', async (_, answer, field) => {
    const { result, text } = await asked(answer)
    expect(result).toMatchObject({ ok: false, problem: { reason: 'RestProxyUnavailable' } })
    expect(text).toContain(`${field} is missing or out of its range`)
  })

  test('the largest and the smallest of what is allowed', () => {
    const { starts, resetAfterMs, concurrency } = FROM_REST_PROXY
    const largest = { total: starts, remaining: starts, reset_after: resetAfterMs, max_concurrency: concurrency }
    const smallest = { total: 0, remaining: 0, reset_after: 0, max_concurrency: 1 }
    for (const session_start_limit of [largest, smallest])
      expect(sessionInfoSchema.safeParse({ ...INFO, session_start_limit }).success).toBe(true)
  })

  test('any JSON at all is an answer or a problem, never an error, and the problem quotes nothing of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.constantFrom(200, 401, 429, 500), async (value, status) => {
        const marked = { ...INFO, url: { quoted: value } }
        const { result, text } = await asked(json(status, fc.stringify(value).length % 2 ? marked : { value }))
        expect(result.ok).toBe(false)
        expect(text).not.toContain('quoted')
      }),
      { numRuns: runs(40) },
    )
  })
})

describe('an answer without bounds', () => {
  /** Bytes that left the server, and what came of the question. */
  async function flooded(head: Record<string, string>, part: Buffer) {
    let sent = 0
    let ended = false
    await using server = await httpServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', ...head })
      const more = () => {
        while (!response.destroyed && sent < 256 * 1024 * 1024) {
          sent += part.length
          if (!response.write(part)) return void response.once('drain', more)
        }
      }
      response.once('close', () => {
        ended = true
      })
      more()
    })
    const result = await restSessionInfo({
      baseUrl: server.url,
      ...{ authorization: KEY, token: TOKEN, timeoutMs: 5_000, gatewayHosts },
    }).ask()
    await expect.poll(() => ended).toBe(true)
    return { result, sent }
  }

  test('a body without end is read for 64 KB, and its connection is closed', async () => {
    const { result, sent } = await flooded({}, Buffer.alloc(64 * 1024, ' '))
    expect(result).toMatchObject({ ok: false, problem: { message: expect.stringContaining('more than 65536 bytes') } })
    // What lay in the buffers of both ends; not what the server would have sent.
    expect(sent).toBeLessThan(32 * 1024 * 1024)
  })

  test('nothing is inflated', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, ' '))
    expect(bomb.length).toBeLessThan(FROM_REST_PROXY.answerBytes)
    const { result, requests } = await asked((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb)
    })
    expect(requests[0]?.headers['accept-encoding']).toBe('identity')
    expect(result).toMatchObject({ ok: false, problem: { message: expect.stringContaining('it is compressed') } })
  })

  test('a body that comes a byte at a time is given up with the question', async () => {
    let closed = false
    const drip: Answer = (_, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 20)
      response.once('close', () => {
        clearInterval(timer)
        closed = true
      })
    }
    await using server = await httpServer(drip)
    const question = { baseUrl: server.url, authorization: KEY, token: TOKEN, timeoutMs: 200, gatewayHosts }
    const result = await restSessionInfo(question).ask()
    expect(result).toMatchObject({ ok: false, problem: { message: expect.stringContaining('did not answer within') } })
    await expect.poll(() => closed).toBe(true)
  })
})

test.each([301, 302, 303, 307, 308])('%i: a redirect is not followed', async (status) => {
  let followed = 0
  await using elsewhere = await httpServer((request, response, body) => {
    followed++
    json(200, INFO)(request, response, body)
  })
  const { result } = await asked((_, response) => response.writeHead(status, { location: elsewhere.url }).end())
  expect(result).toMatchObject({
    ok: false,
    problem: { message: expect.stringContaining(`answered ${status} to GET /v10/gateway/bot, and redirects are not`) },
  })
  expect(followed).toBe(0)
})

test('429 for years: asked again after ten minutes', async () => {
  const { result } = await asked(json(429, { retry_after: 1e12 }))
  expect(result).toMatchObject({ ok: false, problem: { reason: 'RestProxyRateLimited', retryAfterMs: 600_000 } })
})

test.each(['line-1-of-a-key\nline-2-of-a-key', 'a\u0000b-secret', 'ключ-secret'])(
  'a key that cannot be a header is in no message: %j',
  async (authorization) => {
    const { result, text } = await asked(json(200, INFO), authorization)
    expect(result.ok).toBe(false)
    for (const part of ['line-1', 'line-2', 'secret', 'ключ']) expect(text).not.toContain(part)
  },
)

test('what a body begins with is in no message', async () => {
  const { text } = await asked(json(200, 'internal-secret: 12345'))
  expect(text).not.toContain('internal')
})

describe('a gateway that is none of gateway.hosts', () => {
  test.each([
    'ws://attacker.example',
    'wss://attacker.example',
    'ws://gateway.discord.gg',
    'wss://gateway.discord.gg.attacker.example',
    'wss://user:password@gateway.discord.gg',
  ])('%s is refused, with what admits it', async (url) => {
    const { result, text } = await asked(json(200, { ...INFO, url }))
    expect(result).toMatchObject({ ok: false, problem: { reason: 'GatewayNotAllowed' } })
    expect(text).toContain('spec.gateway.hosts')
    expect(text).not.toContain('password@')
  })
})
