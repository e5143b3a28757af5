import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { processClock } from '../../../../sharder/process-clock.ts'
import { openSink } from '../../../../sharder/sinks/open-sink.ts'
import { createLogger } from '../../../../src/support/logger.ts'
import { until } from '../../../support/sharder.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../simulator/tls.ts'

it('an https sink trusts the certificates it is given, and says where they should be', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sink-test-'))
  const versions = new Set<string>()
  const identity = { key: TEST_KEY, cert: TEST_CERTIFICATE, allowHTTP1: true }
  const server = createSecureServer(identity, (request, response) => {
    versions.add(request.httpVersion)
    response.writeHead(204).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`
  const caFile = join(directory, 'ca.crt')
  const open = (tls?: { caFile: string }) => {
    const sink = openSink(
      { name: 'bot', http: { url, tls } },
      {
        workerId: 0,
        clock: processClock,
        random: () => 0,
        logger: createLogger('test', 'silent'),
        onChange: () => {},
        counts: { request: () => {}, delivered: () => {} },
        retry: { baseMs: 20, capMs: 50 },
      },
    )
    const bytes = Buffer.from('{"t":"X","s":1,"op":0,"d":{}}')
    sink.open(0, 0, '').add(bytes, 0, bytes.length, 1)
    return sink
  }
  const distrustful = open()
  await until(() => distrustful.record().state === 'Failing')
  expect(distrustful.record().message).toMatch(/SELF_SIGNED/)
  const trusting = open({ caFile })
  await until(() => trusting.record().state === 'Unauthorized')
  expect(trusting.record().message).toContain(caFile)
  await writeFile(caFile, TEST_CERTIFICATE)
  expect(await trusting.flush(10_000)).toBe(true)
  // Not HTTP/2, although the server offers it: see Protocol in operator/kube/connection.ts.
  expect([...versions]).toEqual(['1.1'])
  await Promise.all([distrustful.close(), trusting.close()])
  server.close()
  await rm(directory, { recursive: true })
})
