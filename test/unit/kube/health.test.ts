import { pino } from 'pino'
import { Counter, Registry } from 'prom-client'
import { request } from 'undici'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type HealthServer, startHealthServer } from '../../../operator/kube/health.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { freePorts } from '../../support/apiserver/ports.ts'

const open: HealthServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function server(extra: { metricsPort?: number; synced?: () => string | undefined } = {}): Promise<HealthServer> {
  const registry = new Registry()
  new Counter({ name: 'things_total', help: 'Things', registers: [registry] }).inc(3)
  const started = await startHealthServer({
    host: '127.0.0.1',
    probePort: 0,
    metricsPort: extra.metricsPort ?? 0,
    live: { loop: () => undefined },
    ready: { pods: extra.synced ?? (() => undefined), leases: () => undefined },
    registry,
    ...{ clock: systemClock, random: Math.random, logger: pino({ level: 'silent' }) },
  })
  open.push(started)
  return started
}

const get = async (url: string) => {
  const { statusCode, body, headers } = await request(url)
  return { code: statusCode, text: await body.text(), type: headers['content-type'] }
}

describe('startHealthServer', () => {
  it('is alive but not ready until every check is fine, and says which is not', async () => {
    let problem: string | undefined = 'the first list of pods is not complete'
    const { probeUrl } = await server({ synced: () => problem })
    expect(await get(`${probeUrl}/healthz`)).toMatchObject({ code: 200, text: '[+]loop ok\nhealthz check passed\n' })
    const before = await get(`${probeUrl}/readyz`)
    expect(before.code).toBe(503)
    expect(before.text).toBe(`[-]pods failed: ${problem}\n[+]leases ok\nreadyz check failed\n`)
    problem = undefined
    expect((await get(`${probeUrl}/readyz`)).code).toBe(200)
  })

  it('serves metrics on the same port', async () => {
    const { probeUrl, metricsUrl } = await server()
    expect(metricsUrl).toBe(probeUrl)
    const { text, type } = await get(`${metricsUrl}/metrics`)
    expect(text).toContain('things_total 3')
    expect(type).toContain('version=0.0.4')
  })

  it('serves metrics on a port of their own, where there are no probes', async () => {
    // A port that was free may be somebody else's by now.
    const { probeUrl, metricsUrl } = await vi.waitFor(async () => {
      const [metricsPort = 0] = await freePorts(1)
      return server({ metricsPort })
    }, 15_000)
    expect(metricsUrl).not.toBe(probeUrl)
    expect((await get(`${metricsUrl}/metrics`)).code).toBe(200)
    expect((await get(`${metricsUrl}/healthz`)).code).toBe(404)
    expect((await get(`${probeUrl}/metrics`)).code).toBe(404)
  })

  it('leaves no server behind when the second port is taken', async () => {
    const taken = await server()
    const failed = server({ metricsPort: Number(new URL(taken.probeUrl).port) })
    await expect(failed).rejects.toThrow('EADDRINUSE')
  })
})
