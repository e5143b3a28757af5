import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { leases, namespaces, secrets } from '../../../operator/kube/resources.ts'
import { type Json, manifest } from '../crd-server.ts'
import { type Lie, LyingWorker } from './lying-worker.ts'
import { grantRights, LEASE, type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { type PodWorker, startTestWorker } from './pod-worker.ts'
import { type Bot, eventually, type OperatorWorld, startWorldOf } from './world.ts'

/**
 * What one tenant, or a stranger in the pod network, can do to the operator that serves all: its memory stays below what the
 * chart gives it, it goes on to lead, and a bot that has nothing to do with it is scaled and answered. The table says how
 * quickly, beside an undisturbed time.
 */
const MEMORY_LIMIT = 512 * 1_024 * 1_024
const EVIL = 'evil'
const WATCHED_MS = 5_000

let world: OperatorWorld<PodWorker>
let operator: OperatorProcess
let bystander: Bot
let bomb: Buffer
let proxy: Server
let lie: Lie = 'line without end'
let names = 0
const sockets: Socket[] = []
const table: Record<string, object> = {}

beforeAll(async () => {
  world = await startWorldOf<PodWorker>((start) =>
    start.name.startsWith('liar') ? LyingWorker.start(start.host, lie) : startTestWorker(start),
  )
  await grantRights(world.server)
  operator = await startOperatorProcess(world.server, 'operator')
  bomb = await gzipOf(700)
  proxy = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  bystander = await world.bot()
  await bystander.secret({ 'api-authorization': 'key-of-bystander' })
  await bystander.create((spec) => {
    spec['api'] = { authorizationSecretRef: { name: 'bot' } }
  })
  await bystander.wait('Ready')
  await world.client.apply(namespaces, { metadata: { name: EVIL } })
  const stringData = { token: 'a.made-up.token', 'rest-authorization': 'rest-key' }
  await world.client.apply(secrets, { metadata: { namespace: EVIL, name: 'bot' }, ...{ stringData } })
}, 180_000)
afterAll(async () => {
  console.table(table)
  await operator?.crash()
  await world?.close()
  proxy?.closeAllConnections()
  proxy?.close()
}, 60_000)

/** So many MB of spaces, which is what inflates best. */
async function gzipOf(megabytes: number): Promise<Buffer> {
  const part = Buffer.alloc(1_024 * 1_024, ' ')
  const parts: Buffer[] = []
  for await (const piece of Readable.from(Array(megabytes).fill(part)).pipe(createGzip({ level: 9 })))
    parts.push(piece as Buffer)
  return Buffer.concat(parts)
}

async function create(name: string, change: (spec: Json) => void): Promise<void> {
  const cluster = manifest(name, (spec) => {
    Object.assign(spec, { totalShards: 1, totalWorkers: 1 })
    spec['rest'] = { baseUrl: bystander.restUrl, authorizationSecretRef: { name: 'bot' } }
    change(spec)
  })
  cluster.metadata['namespace'] = EVIL
  await world.server.create(cluster)
}

const at = (ratio: number, sorted: readonly number[]) => Math.round(sorted[Math.floor(sorted.length * ratio)] ?? 0)
const url = () => `${operator.apiUrl}/v1/shardclusters/${bystander.namespace}/bot/shards/0`
const headers = { authorization: 'Bearer key-of-bystander' }
type Lease = StoredObject & { readonly spec: { holderIdentity: string; leaseTransitions: number } }
const leader = async () => {
  const spec = (await world.client.get<Lease>(leases, { namespace: 'default', name: LEASE }))?.spec
  return `${spec?.holderIdentity} ${spec?.leaseTransitions}`
}

/** The bystander between two and three workers, once there and back. */
async function scaled(): Promise<number> {
  const startedAt = performance.now()
  for (const workers of [3, 2]) {
    await bystander.kubectl('scale', 'shc/bot', `--replicas=${workers}`)
    await eventually(async () => expect((await bystander.held()).length).toBe(workers))
    await bystander.wait('Ready')
  }
  return performance.now() - startedAt
}

/** Watches while `abuse` goes on. @returns what came of it, which the table shows. */
async function watched(name: string, abuse: (signal: AbortSignal) => Promise<unknown> | unknown): Promise<void> {
  const before = await leader()
  const stop = new AbortController()
  const going = Promise.resolve(abuse(stop.signal)).catch(() => {})
  const latencies: number[] = []
  let memory = 0
  let done: number | undefined
  const scaling = scaled().then((milliseconds) => {
    done = milliseconds
  })
  const until = performance.now() + WATCHED_MS
  while (performance.now() < until || done === undefined) {
    const asked = performance.now()
    expect((await fetch(url(), { headers })).status).toBe(200)
    latencies.push(performance.now() - asked)
    memory = Math.max(memory, [...(await operator.metric('process_resident_memory_bytes')).values()][0] ?? 0)
    await delay(100)
  }
  await scaling
  stop.abort()
  for (const socket of sockets.splice(0)) socket.destroy()
  await going
  latencies.sort((a, b) => a - b)
  table[name] = {
    'RSS MB': Math.round(memory / 1_024 / 1_024),
    'scale s': ((done ?? Number.NaN) / 1_000).toFixed(1),
    'API p50 ms': at(0.5, latencies),
    'API p99 ms': at(0.99, latencies),
  }
  expect(memory).toBeLessThan(MEMORY_LIMIT)
  expect(await leader(), 'the Lease was kept').toBe(before)
}

/** A socket of a stranger, from another address than the bystander's bot. */
function open(text: string | Buffer): Socket {
  const { port } = new URL(operator.apiUrl)
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.2' })
  socket.on('error', () => {})
  socket.pause()
  socket.write(text)
  sockets.push(socket)
  return socket
}

const BAD_HEADER = Buffer.from(
  `GET /v1/shardclusters/x/y HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${' '.repeat(7_400)}a${' '.repeat(7_400)}\u00a0\r\n\r\n`,
  'latin1',
)

describe('a bystander is scaled and answered, the Lease kept and the memory bounded', { timeout: 120_000 }, () => {
  it('undisturbed', () => watched('undisturbed', () => {}))

  it('with 20 requests a second of the header that is hardest to read', () =>
    watched('20 bad headers a second', async (signal) => {
      while (!signal.aborted) {
        open(BAD_HEADER)
        await delay(50)
      }
    }))

  it('with 60 connections at once, each with several of them', () =>
    watched('60 connections at once', () => {
      for (let i = 0; i < 60; i++) open(Buffer.concat([BAD_HEADER, BAD_HEADER, BAD_HEADER]))
    }))

  it('with 5,000 sockets that say nothing', () =>
    watched('5,000 idle sockets', async () => {
      for (let i = 1; i <= 5_000; i++) {
        open('POST /v1/shardclusters/x/y/shards/0/payloads HTTP/1.1\r\n')
        // This process opens them and measures: what it is held up by is not the operator.
        if (i % 25 === 0) await delay(5)
      }
    }))

  it.each<Lie>(['line without end', 'shards that do not exist', 'refusals of 15 MB'])('with a worker of: %s', (what) =>
    watched(`worker: ${what}`, () => {
      lie = what
      return create(`liar-${++names}`, (spec) => {
        spec['worker'] = { image: 'of-the-tenant:1' }
      })
    }),
  )

  it('with a REST proxy that answers 700 MB of gzip', () =>
    watched('REST proxy: 700 MB of gzip', () =>
      create('bomb', (spec) => {
        spec['rest'] = { baseUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
      }),
    ))

  it('with a Secret of sessions that inflates to 700 MB', () =>
    watched('Secret: 700 MB of sessions', async () => {
      const labels = {
        'app.kubernetes.io/managed-by': 'shardcluster-operator',
        'shardcluster.dev/cluster': 'inflated',
      }
      const data = { 'sessions.json.gz': bomb.toString('base64') }
      await world.client.apply(secrets, {
        metadata: { namespace: EVIL, name: 'inflated-1-sessions-0', labels } as never,
        ...{ data },
      })
      await create('inflated', () => {})
    }))
})
