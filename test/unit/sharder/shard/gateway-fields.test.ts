import { describe, expect, it } from 'vitest'
import { GatewayFault } from '../../../../sharder/shard/gateway-fault.ts'
import { heartbeatIntervalOf, sessionOf } from '../../../../sharder/shard/gateway-fields.ts'

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

  it.each(['ws://127.0.0.1:1', 'wss://gateway-us-east1-b.discord.gg'])('takes %s to resume at', (resume_gateway_url) =>
    expect(sessionOf({ session_id, resume_gateway_url })).toEqual({
      sessionId: session_id,
      resumeGatewayUrl: resume_gateway_url,
    }),
  )

  it.each([undefined, null, 7, '', 'gateway.discord.gg', 'https://discord.com', `wss://${'x'.repeat(1_020)}`])(
    'takes a session without a URL: %j',
    (resume_gateway_url) =>
      expect(sessionOf({ session_id, resume_gateway_url })).toEqual({
        sessionId: session_id,
        resumeGatewayUrl: undefined,
      }),
  )

  it.each([...WRONG_DATA, ...['', 7, null, 'x'.repeat(257)].map((id) => ({ session_id: id }))])('refuses %j', (d) =>
    expect(() => sessionOf(d)).toThrow(GatewayFault),
  )
})
