import type { LookupAddress } from 'node:dns'
import { afterEach, describe, expect, it } from 'vitest'
import { RestHosts, restWay } from '../../../operator/rest-hosts.ts'
import { restSessionInfo } from '../../../src/manager/session-info.ts'
import { httpServer, json } from '../manager/http-server.ts'

const may = (rules: readonly string[], host: string) =>
  new RestHosts(rules).problem(`http://${host}:8000`) === undefined

describe('without rules', () => {
  it.each(['rest-proxy', 'rest-proxy.bots.svc', 'proxy.example.com', '10.1.2.3', '203.0.113.7', '[2001:db8::1]'])(
    '%s may be asked',
    (host) => expect(may([], host)).toBe(true),
  )
  it.each([
    ...['127.0.0.1', '127.1', '0x7f000001', '2130706433', '0', '[::1]', '[::]', '[::ffff:127.0.0.1]'],
    ...['169.254.169.254', '[fe80::1]', '[::ffff:a9fe:a9fe]', '[fd00:ec2::254]', '100.100.100.200', '224.0.0.1'],
  ])('%s may not', (host) => expect(may([], host)).toBe(false))
})

describe('with rules', () => {
  const rules = ['rest-proxy.bots', '.svc', '*.example.com', '10.0.0.0/8', '2001:db8::1']
  it.each(['rest-proxy.bots', 'REST-PROXY.bots', 'a.b.svc', 'proxy.example.com', '10.9.9.9', '[2001:db8::1]'])(
    '%s may be asked',
    (host) => expect(may(rules, host)).toBe(true),
  )
  it.each(['11.0.0.1', '[2001:db8::2]', '127.0.0.1', '169.254.169.254'])('%s may not', (host) =>
    expect(may(rules, host)).toBe(false),
  )
  it.each(['example.com', 'evilexample.com', 'rest-proxy.bots.evil', 'svc'])('the name %s may not', (host) => {
    expect(may(['rest-proxy.bots', '.svc', '*.example.com'], host)).toBe(false)
  })
  it('loopback may be asked where it is named as an address', () => {
    expect(may(['127.0.0.0/8'], '127.0.0.1')).toBe(true)
    expect(may(['127.0.0.0/8'], '[::ffff:127.0.0.1]')).toBe(true)
  })
})

describe('the address that a name leads to', () => {
  const addresses = (rules: readonly string[], host: string) =>
    new Promise<LookupAddress[] | string>((resolve) => {
      new RestHosts(rules).lookup(host, { all: true }, (error, found) =>
        resolve(error ? (error.code ?? '') : (found as LookupAddress[])),
      )
    })

  it('is refused when it is the host itself, whatever allows the name', async () => {
    expect(await addresses([], 'localhost')).toBe('HOST_NOT_ALLOWED')
    expect(await addresses(['localhost'], 'localhost')).toBe('HOST_NOT_ALLOWED')
  })
  it('is taken when it lies in a range that is allowed', async () => {
    expect(await addresses(['127.0.0.0/8', '::1'], 'localhost')).toContainEqual({ address: '127.0.0.1', family: 4 })
  })
})

describe('a question', () => {
  const ways: AsyncDisposable[] = []
  afterEach(async () => {
    for (const way of ways.splice(0)) await way[Symbol.asyncDispose]()
  })
  const asked = async (rules: readonly string[], host: string) => {
    await using server = await httpServer(json(200, {}))
    const way = restWay(rules)
    ways.push(way)
    const baseUrl = server.url.replace('127.0.0.1', host)
    const question = { baseUrl, authorization: 'key', token: 'token', timeoutMs: 5_000, gatewayHosts: ['*.discord.gg'] }
    const answer = await restSessionInfo(question, way).ask()
    return { text: JSON.stringify(answer), requests: server.requests.length }
  }

  it.each(['127.0.0.1', 'localhost'])('to %s reaches nobody, and says what allows it', async (host) => {
    const { text, requests } = await asked([], host)
    expect(requests).toBe(0)
    expect(text).toContain(`spec.rest.baseUrl names ${host}, which this operator does not ask`)
    expect(text).toContain('rest.allowedHosts')
  })

  it('to an address that is allowed is asked', async () => {
    expect((await asked(['127.0.0.1'], '127.0.0.1')).requests).toBe(1)
    expect((await asked(['127.0.0.0/8'], 'localhost')).requests).toBe(1)
  })
})
