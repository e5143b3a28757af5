import { expect, test } from 'vitest'
import { restSessionInfo } from '../../../src/manager/session-info.ts'
import { type Answer, httpServer, json } from './http-server.ts'

const TOKEN = 'MTIzNDU2Nzg5MDEyMzQ1Njc4.secret.part'
const KEY = 'key-of-the-proxy'
const INFO = {
  ...{ url: 'wss://gateway.discord.gg', shards: 9 },
  session_start_limit: { total: 1_000, remaining: 999, reset_after: 14_400_000, max_concurrency: 16 },
}

const asked = async (answer: Answer, authorization: string | undefined = KEY, timeoutMs = 5_000) => {
  await using server = await httpServer(answer)
  const result = await restSessionInfo({ baseUrl: server.url, authorization, token: TOKEN, timeoutMs }).ask()
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
  await restSessionInfo({ baseUrl: server.url, authorization: undefined, token: TOKEN, timeoutMs: 5_000 }).ask()
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
  const source = restSessionInfo({ baseUrl: server.url, authorization: KEY, token: TOKEN, timeoutMs: 5_000 })
  const result = await source.ask()
  expect(result).toMatchObject({
    ok: false,
    problem: { reason: 'RestProxyUnavailable', message: expect.stringMatching(/ECONNREFUSED/) },
  })
})
