import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { optionsOf, simulatorCommand } from '../../../src/simulator/command.ts'
import { type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { simulatorSettings } from '../../../src/simulator/options.ts'
import { systemClock } from '../../../src/support/clock.ts'
import type { HttpServerBounds } from '../../../src/support/http-server.ts'
import { dial, drip } from '../../support/raw-http.ts'

let simulator: Simulator | undefined
afterEach(() => simulator?.close())

const SHORT = { requestMs: 300, headersMs: 200, checkMs: 50, lingerMs: 200, silenceMs: 1_000 }

async function start(bounds: Partial<HttpServerBounds>): Promise<Simulator> {
  simulator = await startSimulator({ controlKey: 'key' }, systemClock, bounds)
  return simulator
}

test('a body that comes a byte at a time, or never, is ended on every path', async () => {
  const { url } = await start(SHORT)
  for (const [request, status] of [
    ['POST /control/forget HTTP/1.1\r\ncontent-type: application/json', 401],
    ['POST /control/forget HTTP/1.1\r\nauthorization: key\r\ncontent-type: application/json', 408],
    ['POST /api/v10/channels/1/messages HTTP/1.1\r\ncontent-type: multipart/form-data', 408],
  ] as const) {
    const head = `${request}\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n`
    for (const talks of [true, false]) {
      const { socket, seen, ended } = dial(url, head)
      if (talks) drip(socket)
      await ended
      expect(seen.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    }
  }
})

test('a connection beyond the limit is closed, gateway connections counted', async () => {
  const { url, gatewayUrl } = await start({ connections: 1 })
  const shard = new WebSocket(`${gatewayUrl}/?v=10&encoding=json`)
  await once(shard, 'message')
  await dial(url).ended
  shard.terminate()
  expect(shard.readyState).not.toBe(WebSocket.OPEN)
})

test('the times of requests are not those of a gateway connection', async () => {
  const { gatewayUrl } = await start(SHORT)
  const shard = new WebSocket(`${gatewayUrl}/?v=10&encoding=json`)
  await once(shard, 'message')
  // Longer than each of them.
  await delay(1_500)
  expect(shard.readyState).toBe(WebSocket.OPEN)
  shard.terminate()
})

test('control is open on this machine alone', async () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1']) {
    expect(() => simulatorSettings({ host })).toThrow('/control would be open')
    expect(simulatorSettings({ host, controlKey: 'key' }).host).toBe(host)
  }
  await expect(startSimulator({ host: '0.0.0.0' })).rejects.toThrow('/control would be open')
  const command = simulatorCommand().exitOverride()
  command.parseOptions([])
  expect(simulatorSettings(optionsOf(command.opts())).host).toBe('127.0.0.1')
})
