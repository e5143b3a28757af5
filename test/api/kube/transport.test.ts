import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TimeoutError, UnavailableError } from '../../../operator/kube/errors.ts'
import { onlyWhile } from '../../../operator/kube/guarded.ts'
import { configMaps, pathOf } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { Answers, status } from './answers.ts'
import { follow } from './follow.ts'
import { eventually, put, quiet, startWorld, type World } from './world.ts'

let world: World
let ns: string

beforeAll(async () => {
  world = await startWorld()
  ns = await world.namespace()
})
afterAll(() => world?.close())

const listCall = () => ({ method: 'GET', path: pathOf(configMaps, { namespace: ns }) }) as const
const postCall = (name: string) =>
  ({ method: 'POST', path: pathOf(configMaps, { namespace: ns }), body: { metadata: { name } } }) as const

describe('KubeTransport', () => {
  it('carries watches and hundreds of calls over a connection or two, not one each', async () => {
    const link = world.link()
    const before = world.proxy.accepted
    const watchers = [follow(world, ns, { link }), follow(world, ns, { link }), follow(world, ns, { link })]
    await Promise.all(watchers.map(({ reflector }) => reflector.whenSynced()))
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 20 }, () => link.transport.request(listCall())))
    }
    expect(world.proxy.accepted - before).toBeLessThanOrEqual(4)
    await Promise.all(watchers.map((watcher) => watcher.stop()))
  })

  it('leaves nothing open once it is closed', async () => {
    const link = world.link()
    const before = world.proxy.open
    const watcher = follow(world, ns, { link })
    await watcher.reflector.whenSynced()
    expect(world.proxy.open).toBeGreaterThan(before)
    await watcher.stop()
    await link.transport.close()
    await eventually(() => expect(world.proxy.open).toBe(before))
    await expect(link.transport.request(listCall())).rejects.toThrow('closed')
  })

  it('ends a call into a black hole in its time; the next call and the watches get a new connection', async () => {
    const link = world.link()
    const watcher = follow(world, ns, { link })
    await watcher.reflector.whenSynced()
    await eventually(() => expect(link.transport.openStreams).toBe(1))
    await link.transport.request(listCall())
    world.proxy.blackHole({ onlyOpen: true })
    const startedAt = performance.now()
    await expect(link.transport.request({ ...listCall(), timeoutMs: 1_500 })).rejects.toBeInstanceOf(TimeoutError)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_000)
    await link.transport.request({ ...listCall(), timeoutMs: 20_000 })
    // Its agreed time is five minutes at least: without a probe of the connection it would hear nothing until then.
    await put(world, ns, 'after-the-hole', '1')
    await watcher.agrees()
    expect(await watcher.counted('lists')).toBe(1)
    await watcher.stop()
  })

  it('finds a dead connection of the watches also when only calls with a body are made, which have others', async () => {
    const link = world.link()
    const watcher = follow(world, ns, { link })
    await watcher.reflector.whenSynced()
    await eventually(() => expect(link.transport.openStreams).toBe(1))
    world.proxy.blackHole()
    await expect(link.transport.request({ ...postCall('lost'), timeoutMs: 1_500 })).rejects.toBeInstanceOf(TimeoutError)
    await world.proxy.heal()
    await put(world, ns, 'after-the-hole', '2')
    await watcher.agrees()
    expect(await watcher.counted('lists')).toBe(1)
    await watcher.stop()
  })

  it('outlives calls that are given up before their body is sent', async () => {
    const script = new URL('giving-up.ts', import.meta.url).pathname
    const options = { timeout: 40_000, killSignal: 'SIGKILL' } as const
    const { stdout } = await promisify(execFile)(process.execPath, [script, world.server.kubeconfig], options)
    expect(Number(stdout)).toBeGreaterThan(0)
  })

  it('says Unavailable when the connection is refused, without the credentials', async () => {
    const link = world.link()
    await world.proxy.refuse()
    const error = await link.transport.request(listCall()).catch((refused: unknown) => refused)
    await world.proxy.heal()
    expect(error).toBeInstanceOf(UnavailableError)
    expect(String(error)).toContain('ECONNREFUSED')
    expect((await link.registry.metrics()).includes('rest_client_requests_total{code="<error>",method="GET"')).toBe(
      true,
    )
  })

  it('gives the reason of the caller who aborts, at once', async () => {
    const link = world.link()
    world.proxy.blackHole()
    const abort = new AbortController()
    const calls = [
      link.transport.request({ ...listCall(), signal: abort.signal }),
      link.transport.stream({ ...listCall(), query: { watch: true }, signal: abort.signal }),
    ].map((call) => call.catch((error: unknown) => error))
    const startedAt = performance.now()
    abort.abort('enough')
    expect(await Promise.all(calls)).toEqual(['enough', 'enough'])
    // The connection itself gives up after 5 s: the caller must not wait for that.
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    await world.proxy.heal()
  })

  it('repeats what the server refused with 429, at most five times', async () => {
    const answers = new Answers()
    const link = world.link({ intercept: answers.intercept })
    const throttled = (times: number) => {
      for (let time = 0; time < times; time += 1) {
        answers.push(429, status(429, 'TooManyRequests'), { 'retry-after': '0' })
      }
    }
    throttled(4)
    await link.transport.request(postCall('patient'))
    expect(await world.direct.client.get(configMaps, { namespace: ns, name: 'patient' })).toBeDefined()
    throttled(5)
    await expect(link.transport.request(postCall('too-patient'))).rejects.toMatchObject({ kind: 'Throttled' })
    expect(answers.given).toBe(9)
  })

  it('asks for leave before each try, and sends nothing without', async () => {
    const answers = new Answers()
    const link = world.link({ intercept: answers.intercept })
    let asked = 0
    const leading = onlyWhile(() => ++asked < 2, link.transport)
    answers.push(429, status(429, 'TooManyRequests'), { 'retry-after': '0' })
    await expect(leading.request(postCall('too-late'))).rejects.toMatchObject({ reason: 'NotLeading' })
    await expect(leading.stream({ ...listCall(), query: { watch: true } })).rejects.toThrow('does not lead')
    expect([answers.given, asked]).toEqual([1, 3])
    expect(await world.direct.client.get(configMaps, { namespace: ns, name: 'too-late' })).toBeUndefined()
  })

  it('takes a new token file into use with the next call', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shardcluster-token-'))
    const tokenFile = join(dir, 'token')
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(world.server.kubeconfig)
    const cluster = kubeConfig.getCurrentCluster()
    if (!cluster) throw new Error('no cluster')
    await writeFile(tokenFile, 'expired')
    kubeConfig.loadFromClusterAndUser(cluster, {
      name: 'u',
      authProvider: { name: 'tokenFile', config: { tokenFile } },
    })
    const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger: quiet })
    await expect(transport.request(listCall())).rejects.toMatchObject({ kind: 'Unauthorized' })
    await writeFile(tokenFile, `${world.server.tokenOf('admin')}\n`)
    await transport.request(listCall())
    await transport.close()
    await rm(dir, { recursive: true })
  })

  it('waits as long as Retry-After says', async () => {
    const answers = new Answers()
    const link = world.link({ intercept: answers.intercept })
    answers.push(429, status(429, 'TooManyRequests'), { 'retry-after': '1' })
    const startedAt = performance.now()
    await link.transport.request(listCall())
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990)
  })

  it('repeats after 503 what may be repeated, and never a POST, which the server may have done', async () => {
    const answers = new Answers()
    const link = world.link({ intercept: answers.intercept })
    const overloaded = () => answers.push(503, 'overloaded', { 'retry-after': '0' })
    overloaded()
    await link.client.apply(configMaps, { metadata: { namespace: ns, name: 'again' } })
    overloaded()
    await expect(link.transport.request(postCall('once'))).rejects.toMatchObject({ kind: 'Unavailable', code: 503 })
    expect(await world.direct.client.get(configMaps, { namespace: ns, name: 'once' })).toBeUndefined()
  })

  it('takes a new CA file into use without a restart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shardcluster-ca-'))
    const caFile = join(dir, 'ca.crt')
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(world.server.kubeconfig)
    const cluster = kubeConfig.getCurrentCluster()
    const user = kubeConfig.getCurrentUser()
    if (!cluster || !user) throw new Error('no cluster or user')
    await writeFile(caFile, OTHER_CA)
    kubeConfig.loadFromClusterAndUser({ name: 'c', server: cluster.server, caFile, skipTLSVerify: false }, user)
    const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger: quiet })
    await expect(transport.request(listCall())).rejects.toThrow(/SELF_SIGNED|certificate/i)
    await writeFile(caFile, world.server.certificate)
    await transport.request(listCall())
    await writeFile(caFile, OTHER_CA)
    await expect(transport.request(listCall())).rejects.toThrow(/SELF_SIGNED|certificate/i)
    await transport.close()
    await rm(dir, { recursive: true })
  })
})

describe('maxConcurrency', () => {
  it('holds calls back, lets all of them through in the end, and lets a waiting one be aborted', async () => {
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(world.server.kubeconfig)
    let active = 0
    let most = 0
    const transport = KubeTransport.fromConfig(kubeConfig, {
      clock: systemClock,
      logger: quiet,
      maxConcurrency: 3,
      intercept: (real) =>
        real.compose((dispatch) => (options, handler) => {
          active += 1
          most = Math.max(most, active)
          return dispatch(options, handler)
        }),
    })
    const abort = new AbortController()
    const calls = Array.from({ length: 20 }, () =>
      transport.request(listCall()).finally(() => {
        active -= 1
      }),
    )
    const aborted = transport.request({ ...listCall(), signal: abort.signal }).catch((error: unknown) => error)
    abort.abort('changed my mind')
    await Promise.all(calls)
    expect(await aborted).toBe('changed my mind')
    expect(most).toBe(3)
    await transport.close()
  })
})

/** A valid certificate that signed nothing here. */
const OTHER_CA = `-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUB6HHxUdu88ZVVoufl6Uem0YaPB8wCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIzMjM0NjE2WhgPMjEyNjEwMzAyMzQ2
MTZaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
x8gXq6UqFx+/eUhlC1jNR/RyzlC05APz5yts2hjb/Ppa9g48/OtAF8VSXBoa2sOB
SnpCGPR2JZwjBNIOpOpMF6NTMFEwHQYDVR0OBBYEFASVWUgzv9hA05pYVZgkyUvO
6GUjMB8GA1UdIwQYMBaAFASVWUgzv9hA05pYVZgkyUvO6GUjMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgIbXvjpbrgu5hMDF8lKBhYKiDq4qtVOfT
JuVjnitvFkoCIQDlYZaoAyt4jVYAzRdt5u0NvgVuqUqPhMvMqvOfOknk8Q==
-----END CERTIFICATE-----
`
