import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DISCORD_GATEWAY_HOSTS, gatewayHosts } from '../../../src/api/gateway-hosts.ts'
import { gatewayUrlProblem, knownGateway, mayConnect } from '../../../src/domain/gateway-host.ts'
import { runs } from '../../support/fuzz.ts'

const isEntry = (text: string) => gatewayHosts.safeParse([text]).success

describe("Discord's hosts, the default,", () => {
  test.each([
    'wss://gateway.discord.gg',
    'wss://gateway.discord.gg/',
    'wss://gateway-us-east1-b.discord.gg',
    'wss://GATEWAY.discord.gg:443/?v=10',
  ])('admit %s', (url) => expect(gatewayUrlProblem(url, DISCORD_GATEWAY_HOSTS)).toBeUndefined())

  test.each([
    'ws://gateway.discord.gg',
    'ws://127.0.0.1:46353',
    'wss://discord.gg',
    'wss://evildiscord.gg',
    'wss://gateway.discord.gg.evil.example',
    'wss://evil.example/gateway.discord.gg',
    'wss://gateway.discord.gg@evil.example',
    'wss://user:password@gateway.discord.gg',
    'wss://user@gateway.discord.gg',
    'https://gateway.discord.gg',
    'file:///etc/passwd',
    'gateway.discord.gg',
    '',
    `wss://${'a'.repeat(2_000)}.discord.gg`,
  ])('refuse %s', (url) => expect(gatewayUrlProblem(url, DISCORD_GATEWAY_HOSTS)).toBeDefined())
})

test.each<[string, string, boolean]>([
  ['gateway-proxy.bots', 'wss://gateway-proxy.bots:8443', true],
  ['gateway-proxy.bots', 'ws://gateway-proxy.bots', false],
  ['gateway-proxy.bots:8443', 'wss://gateway-proxy.bots:8443', true],
  ['gateway-proxy.bots:8443', 'wss://gateway-proxy.bots', false],
  ['wss://gateway-proxy.bots:443', 'wss://gateway-proxy.bots', true],
  ['ws://simulator:8080', 'ws://simulator:8080/?v=10', true],
  ['ws://simulator:8080', 'ws://simulator:8081', false],
  ['ws://simulator', 'wss://simulator', true],
  ['ws://127.0.0.1', 'ws://127.0.0.1:34567', true],
  ['ws://[::1]', 'ws://[::1]:34567', true],
  ['ws://*.bots', 'ws://a.bots', true],
  ['ws://*.bots', 'ws://bots', false],
])('%s and %s: %s', (entry, url, admitted) => {
  expect(isEntry(entry)).toBe(true)
  expect(mayConnect(url, [entry])).toBe(admitted)
})

test('a session that was encrypted stays so, whatever is admitted', () => {
  expect(mayConnect('ws://simulator', ['ws://simulator'], true)).toBe(false)
  expect(mayConnect('wss://simulator', ['ws://simulator'], true)).toBe(true)
})

test.each(['*', 'ws://', 'http://a', 'a/b', 'a b', 'user@a', '*.*.a', 'A', '-a', 'a:123456'])(
  '%s is no entry',
  (text) => expect(isEntry(text)).toBe(false),
)

test('whoever cannot ask knows Discord, where that is admitted', () => {
  expect(knownGateway(DISCORD_GATEWAY_HOSTS)).toBe('wss://gateway.discord.gg')
  expect(knownGateway(['ws://simulator'])).toBeUndefined()
})

test('no URL at all leads elsewhere than to a host that is admitted', () => {
  const part = fc.constantFrom(
    'wss://',
    'ws://',
    '@',
    ':',
    '/',
    '\\',
    '?',
    '#',
    '.',
    'discord.gg',
    'evil',
    '%2e',
    '\t',
    '*',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(part, fc.string({ maxLength: 5 })), { maxLength: 8 }), (parts) => {
      const url = `wss://${parts.join('')}`
      if (!mayConnect(url, DISCORD_GATEWAY_HOSTS)) return
      const { protocol, hostname, username } = new URL(url)
      expect(protocol).toBe('wss:')
      expect(hostname.endsWith('.discord.gg')).toBe(true)
      expect(username).toBe('')
    }),
    { numRuns: runs(2_000) },
  )
})
