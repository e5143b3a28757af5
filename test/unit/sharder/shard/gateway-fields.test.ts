import { describe, expect, it } from 'vitest'
import { GatewayFault } from '../../../../sharder/shard/gateway-fault.ts'
import { heartbeatIntervalOf, resumeUrlOf, sessionOf } from '../../../../sharder/shard/gateway-fields.ts'

const WRONG_DATA = [undefined, null, 'text', 7, [], {}]

describe('heartbeatIntervalOf', () => {
  it.each([0.5, 100, 41_250, 600_000])('takes %d ms', (heartbeat_interval) =>
    expect(heartbeatIntervalOf({ heartbeat_interval })).toBe(heartbeat_interval),
  )

  it.each([
    ...WRONG_DATA,
    ...[0, -1, 600_001, 2 ** 31, Number.NaN, '41250', null, [1]].map((heartbeat_interval) => ({ heartbeat_interval })),
  ])('refuses %j', (d) => expect(() => heartbeatIntervalOf(d)).toThrow(GatewayFault))
})

describe('sessionOf', () => {
  const session_id = 'a session'

  it('takes what READY says of where to resume as it is', () =>
    expect(sessionOf({ session_id, resume_gateway_url: 7 })).toEqual({ sessionId: session_id, resumeGatewayUrl: 7 }))

  it.each([...WRONG_DATA, ...['', 7, null, 'x'.repeat(257)].map((id) => ({ session_id: id }))])('refuses %j', (d) =>
    expect(() => sessionOf(d)).toThrow(GatewayFault),
  )
})

describe('resumeUrlOf', () => {
  const GATEWAY = 'wss://gateway.discord.gg'
  const HOSTS = ['*.discord.gg', 'ws://simulator']

  it.each(['wss://gateway-us-east1-b.discord.gg', 'wss://simulator'])('takes %s', (url) =>
    expect(resumeUrlOf(url, GATEWAY, HOSTS)).toBe(url),
  )

  it.each([
    ...[undefined, null, 7, '', 'gateway.discord.gg', 'https://discord.com', `wss://${'x'.repeat(1_020)}`],
    ...['wss://attacker.example', 'ws://gateway.discord.gg', 'wss://a:b@gateway.discord.gg'],
  ])('does not take %j', (url) => expect(resumeUrlOf(url, GATEWAY, HOSTS)).toBeUndefined())

  it('takes one without encryption only for a session that was opened so', () => {
    expect(resumeUrlOf('ws://simulator', 'ws://simulator', HOSTS)).toBe('ws://simulator')
    expect(resumeUrlOf('ws://simulator', GATEWAY, HOSTS)).toBeUndefined()
  })
})
