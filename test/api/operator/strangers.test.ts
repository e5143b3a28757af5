import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { leases } from '../../../operator/kube/resources.ts'
import { MAX_SHARDS } from '../../../src/limits.ts'
import { grantRights, LEASE, type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { type Bot, eventually, type OperatorWorld, startOperatorWorld } from './world.ts'

/** What the chart lets the operator have. */
const MEMORY_LIMIT = 512 * 1_024 * 1_024
const FLOOD_MS = 8_000

let world: OperatorWorld
let operator: OperatorProcess
/** Has nothing to do with the others. */
let bystander: Bot
/** 100,000 shards that never run. */
let large: Bot
const sockets: Socket[] = []
let flooding = new AbortController()

beforeAll(async () => {
  world = await startOperatorWorld()
  world.kubelet.unschedulable = (pod) => pod.startsWith(`bot-${MAX_SHARDS}-`)
  await grantRights(world.server)
  operator = await startOperatorProcess(world.server, 'first')
  bystander = await world.bot()
  await bystander.secret({ 'api-authorization': 'key-of-bystander' })
  await bystander.create((spec) => {
    spec['api'] = { authorizationSecretRef: { name: 'bot' } }
  })
  large = await world.bot()
  await large.secret({ 'api-authorization': 'key-of-large' })
  await large.create((spec) => {
    Object.assign(spec, { totalShards: MAX_SHARDS, totalWorkers: 20, shardsPerWorker: 5_000 })
    spec['api'] = { authorizationSecretRef: { name: 'bot' } }
  })
  await bystander.wait('Ready')
  await eventually(async () => expect((await ask(large, '')).status).toBe(200))
})
afterAll(async () => {
  await operator?.crash()
  await world?.close()
})
afterEach(() => {
  flooding.abort()
  flooding = new AbortController()
  for (const socket of sockets.splice(0)) socket.destroy()
})

const keyOf = (bot: Bot) => (bot === large ? 'key-of-large' : 'key-of-bystander')
const urlOf = (bot: Bot, path: string) => `${operator.apiUrl}/v1/shardclusters/${bot.namespace}/bot${path}`
const ask = (bot: Bot, path: string) => fetch(urlOf(bot, path), { headers: { authorization: `Bearer ${keyOf(bot)}` } })

/** Asks again as soon as it was answered, on so many connections of another address. @returns the statuses seen. */
function flood(connections: number, url: string, options: Parameters<typeof request>[1] = {}): Set<number> {
  const statuses = new Set<number>()
  const { signal } = flooding
  const dispatcher = new Agent({ connections, connect: { localAddress: '127.0.0.2' } })
  const run = async () => {
    while (!signal.aborted) {
      const { statusCode, body } = await request(url, { dispatcher, ...options })
      await body.dump({ limit: 16 * 1_024 * 1_024 })
      statuses.add(statusCode)
    }
  }
  const all = Array.from({ length: connections }, run)
  void Promise.allSettled(all).then((ends) => {
    // What is not answered at all would be seen as well.
    if (ends.some(({ status }) => status === 'rejected')) statuses.add(0)
    return dispatcher.close()
  })
  return statuses
}

/** A connection that says this and reads nothing. */
function deaf(url: string, text: string | Buffer): void {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.pause()
  socket.write(text)
  sockets.push(socket)
}

type Lease = StoredObject & { readonly spec: { holderIdentity: string; leaseTransitions: number; renewTime: string } }
const lease = async () => {
  const found = await world.client.get<Lease>(leases, { namespace: 'default', name: LEASE })
  if (!found) throw new Error('there is no Lease')
  return found.spec
}

/** While something goes on: the bystander is answered, the Lease renewed, and the memory bounded. */
async function goesOn() {
  const before = await lease()
  const seen = { answers: 0, renewals: new Set<string>(), memory: 0 }
  const until = Date.now() + FLOOD_MS
  while (Date.now() < until) {
    expect((await ask(bystander, '/shards/0')).status).toBe(200)
    seen.answers++
    const { holderIdentity, leaseTransitions, renewTime } = await lease()
    expect({ holderIdentity, leaseTransitions }).toEqual({
      holderIdentity: before.holderIdentity,
      leaseTransitions: before.leaseTransitions,
    })
    seen.renewals.add(renewTime)
    const memory = [...(await operator.metric('process_resident_memory_bytes')).values()][0] ?? Number.NaN
    seen.memory = Math.max(seen.memory, memory)
    expect((await fetch(`${operator.url}/healthz`)).status).toBe(200)
    await delay(200)
  }
  expect(seen.memory).toBeLessThan(MEMORY_LIMIT)
  expect(seen.answers).toBeGreaterThan(3)
  expect(seen.renewals.size).toBeGreaterThan(1)
}

const quietLog = () =>
  operator
    .log()
    .split('\n')
    .filter((line) => /"level":"(error|fatal)"/.test(line))

describe('nobody else is harmed by', () => {
  it('8 connections that ask for 100,000 shards again and again', async () => {
    const headers = { authorization: `Bearer ${keyOf(large)}`, 'content-type': 'application/json' }
    const statuses = flood(8, urlOf(large, '/shards'), { headers })
    const body = '{"status":"idle"}'
    const presence = flood(2, urlOf(large, '/presence'), { headers, method: 'PUT', body })
    await goesOn()
    expect([...statuses].sort()).toEqual([200, 429])
    for (const status of presence) expect([429, 503]).toContain(status)
  })

  it('60 connections that ask for as much as there is, and read nothing', async () => {
    const text = `GET /v1/shardclusters/${large.namespace}/bot/shards HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${keyOf(large)}\r\n\r\n`
    for (let i = 0; i < 60; i++) deaf(operator.apiUrl, text.repeat(20))
    await goesOn()
  })

  it('60 connections with a header that is hard to read, and no key', async () => {
    const header = `Bearer ${' '.repeat(7_400)}a${' '.repeat(7_400)}\u00a0`
    const text = `GET /v1/shardclusters/x/y HTTP/1.1\r\nhost: x\r\nauthorization: ${header}\r\n\r\n`
    for (let i = 0; i < 60; i++) deaf(operator.apiUrl, Buffer.from(text.repeat(4), 'latin1'))
    await goesOn()
  })

  it('64 connections that ask for metrics, probes and what is not there', async () => {
    const statuses = ['/metrics', '/healthz', '//', '/nothing'].map((path) => flood(16, `${operator.url}${path}`))
    await goesOn()
    expect(statuses.map((seen) => [...seen])).toEqual([[200], [200], [404], [404]])
  })

  it('wrong keys, for what there is and for what there is not', async () => {
    const headers = { authorization: 'Bearer wrong' }
    const statuses = [flood(32, urlOf(bystander, ''), { headers }), flood(32, urlOf(bystander, '-2'), { headers })]
    await goesOn()
    for (const seen of statuses) expect([...seen].sort()).toEqual([401, 429])
  })
})

it('nothing of that is an error in the log, and no thread ended', async () => {
  expect(quietLog()).toEqual([])
  expect(await operator.metric('shardcluster_thread_restarts_total')).toEqual(
    new Map([
      ['{thread="bot-api"}', 0],
      ['{thread="probes"}', 0],
    ]),
  )
})
