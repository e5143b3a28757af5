import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { runOperator } from '../../../operator/main.ts'
import { freePorts } from '../../support/apiserver/ports.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'shardcluster-operator-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

/** Threads take their time on a busy machine. */
const PATIENCE = { timeout: 15_000 }

describe('runOperator', () => {
  it('ends when it is told to, also while no API server answers', async () => {
    const [apiPort = 0, port = 0, botPort = 0] = await freePorts(3)
    const cluster = { server: `http://127.0.0.1:${apiPort}` }
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'test', user: {} }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    }
    writeFileSync(join(directory, 'kubeconfig'), JSON.stringify(kubeconfig))
    vi.stubEnv('KUBECONFIG', join(directory, 'kubeconfig'))
    const stop = new AbortController()
    const environment = {
      SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:test',
      SHARDCLUSTER_HTTP_PORT: String(port),
      SHARDCLUSTER_API_PORT: String(botPort),
      SHARDCLUSTER_LOG_LEVEL: 'silent',
    }
    const running = runOperator(environment, stop.signal)
    const ready = () => fetch(`http://127.0.0.1:${port}/readyz`)
    await vi.waitFor(async () => expect((await ready()).status).toBe(503), PATIENCE)
    expect(await (await ready()).text()).toContain('the first lists have not been read')
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    // It opens after the probes, on a thread of its own.
    const bot = await vi.waitFor(() => fetch(`http://127.0.0.1:${botPort}/v1/shardclusters/default/bot`), PATIENCE)
    expect([bot.status, bot.headers.get('connection'), bot.headers.get('retry-after')]).toEqual([503, 'close', '1'])
    expect(await bot.json()).toMatchObject({ code: 'NOT_LEADING', retry_after: 1 })
    stop.abort()
    await running
    await expect(ready()).rejects.toThrow()
  })

  it('says what is missing before it opens anything', async () => {
    await expect(runOperator({}, new AbortController().signal)).rejects.toThrow('SHARDCLUSTER_WORKER_IMAGE')
  })
})
