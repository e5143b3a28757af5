import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { WebSocketClient } from '../../../../../sharder/shard/websocket/client.ts'
import { systemClock } from '../../../../../src/support/clock.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../../simulator/tls.ts'

// A file of its own: the other tests trust this certificate.
it('opens no connection to a server whose certificate nobody vouches for', async () => {
  let upgrades = 0
  const server = createServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }).on('upgrade', () => upgrades++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const closed = Promise.withResolvers<string>()
  new WebSocketClient({
    url: `wss://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    clock: systemClock,
    handshakeTimeoutMs: 5_000,
    maxBytes: 1_000,
    onOpen: () => closed.resolve('it opened'),
    onMessage: () => {},
    onClosed: (code, reason) => closed.resolve(`${code}: ${reason}`),
  })
  expect(await closed.promise).toMatch(/^1006: self-signed certificate/)
  expect(upgrades).toBe(0)
  server.close()
})
