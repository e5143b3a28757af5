import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shardOfGuild } from '../../../src/domain/guild-shard.ts'
import { RecordingBot } from '../../support/sharder.ts'
import { grantRights, type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { SharderProcess } from './sharder-process.ts'
import { type Bot, eventually, type Operator, type OperatorWorld, startWorldOf } from './world.ts'

const KEYS = { bot: 'key-of-one-bot', neighbour: 'key-of-the-other', next: 'key-that-comes-next' }
const GUILD = '81384788765712384'
const SHARD = shardOfGuild(GUILD, 8)

let world: OperatorWorld<SharderProcess>
let first: OperatorProcess
let second: OperatorProcess
let bot: Bot
/** Has no key for the API at first. */
let neighbour: Bot
let sink: RecordingBot
beforeAll(async () => {
  world = await startWorldOf((start) => SharderProcess.start(start))
  sink = await new RecordingBot().start()
  await grantRights(world.server)
  first = await startOperatorProcess(world.server, 'first')
  await eventually(async () => expect([...(await first.metric('leader_election_master_status')).values()]).toEqual([1]))
  second = await startOperatorProcess(world.server, 'second')
  bot = await world.bot()
  neighbour = await world.bot()
  await bot.secret({ 'api-authorization': KEYS.bot })
  await bot.create((spec) => {
    spec['events'] = [{ name: 'bot', http: { url: sink.url } }]
    spec['api'] = { authorizationSecretRef: { name: 'bot' } }
  })
  await neighbour.secret({ 'api-authorization': KEYS.neighbour })
  await neighbour.create()
  await bot.wait('Ready', 'True', 90)
})
afterAll(async () => {
  await first?.crash()
  await second?.crash()
  await world?.close()
  await sink?.close()
})

async function call(operator: Operator, method: string, path: string, options: { body?: object; key?: string } = {}) {
  const { body, key = KEYS.bot } = options
  const response = await fetch(`${operator.apiUrl}/v1/shardclusters/${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: what it is, is what the tests ask
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}
const own = (path = '') => `${bot.namespace}/bot${path}`
/** Waits until so many shards are connected, on workers that are heard. */
const reachable = (operator: Operator, count: number, key = KEYS.bot) =>
  eventually(async () => {
    const { body } = await call(operator, 'GET', own('/shards'), { key })
    const shards = body.shards as { state: string; worker: { connected: boolean } | null }[]
    expect(shards.filter(({ state, worker }) => state === 'Connected' && worker?.connected)).toHaveLength(count)
  })
const received = (op: number) => world.simulator.stats().receivedOps[op] ?? 0
const HEALTHY = { connectedShards: 8, identifies: 8, resumesRefused: 0, violationDetails: [] }

describe('the operator that leads', () => {
  it('says how the shards are', async () => {
    const { status, body } = await call(first, 'GET', own())
    expect(status).toBe(200)
    expect(body).toMatchObject({ totalShards: 8, states: { Connected: 8 } })
    const workers = [0, 1].map((ordinal) => ({ ordinal, name: `bot-8-${ordinal}`, connected: true, shards: 4 }))
    expect(body.workers).toMatchObject(workers)
    const shard = await call(first, 'GET', own(`/guilds/${GUILD}/shard`))
    expect(shard.body).toMatchObject({ shardId: SHARD, state: 'Connected', identifies: 1 })
  })

  it('sends what the bot asks for, by the worker that holds the shard', async () => {
    const body = { status: 'idle' }
    expect(await call(first, 'PUT', own('/presence'), { body })).toMatchObject({ status: 200, body: { sent: 8 } })
    await eventually(() => expect(received(3)).toBe(8))
    for (const shardId of [0, 7])
      expect((await call(first, 'PUT', own(`/shards/${shardId}/presence`), { body })).status).toBe(200)
    const voice = { channel_id: null }
    expect((await call(first, 'PUT', own(`/guilds/${GUILD}/voice-state`), { body: voice })).status).toBe(200)
    const members = { query: '', limit: 0 }
    const asked = await call(first, 'POST', own(`/guilds/${GUILD}/members`), { body: members })
    expect(asked).toMatchObject({ status: 200, body: { shardId: SHARD } })
    await eventually(() => expect([3, 4, 8].map(received)).toEqual([10, 1, 1]))
    await eventually(() =>
      expect(sink.received.filter(({ t }) => t === 'GUILD_MEMBERS_CHUNK')).toMatchObject([{ shardId: SHARD }]),
    )
    const again = await call(first, 'POST', own(`/guilds/${GUILD}/members`), { body: members })
    expect(again).toMatchObject({ status: 429, body: { code: 'MEMBERS_LIMITED' } })
    expect(bot.discord()).toMatchObject(HEALTHY)
  })

  it('says that a shard has no worker while its pod is away, and sends when it is back', async () => {
    const comeBack = await world.kubelet.kill(`${bot.namespace}/bot-8-1`)
    const body = { status: 'online' }
    await reachable(first, 4)
    const some = await call(first, 'PUT', own('/presence'), { body })
    expect(some).toMatchObject({ status: 207, body: { sent: 4 } })
    expect(some.body.notSent.map(({ shardId }: { shardId: number }) => shardId)).toEqual([4, 5, 6, 7])
    const one = await call(first, 'PUT', own('/shards/7/presence'), { body })
    expect(one.status).toBe(503)
    expect(['WORKER_AWAY', 'UNASSIGNED']).toContain(one.body.code)
    expect(one.body.message).toContain('nothing was sent')
    expect(Number(one.headers.get('retry-after'))).toBeGreaterThan(0)
    comeBack()
    await reachable(first, 8)
    const all = await call(first, 'PUT', own('/presence'), { body })
    expect(all).toMatchObject({ status: 200, body: { sent: 8, notSent: [] } })
    expect(bot.discord()).toMatchObject({ ...HEALTHY, resumes: 4 })
  })
})

describe('keys', () => {
  it('are each for one ShardCluster, and one that names none is refused', async () => {
    expect((await call(first, 'GET', own(), { key: KEYS.neighbour })).status).toBe(401)
    const theirs = (key: string) => call(first, 'GET', `${neighbour.namespace}/bot`, { key })
    expect(await theirs(KEYS.neighbour)).toMatchObject({ status: 403, body: { code: 'API_DISABLED' } })
    const api = JSON.stringify({ spec: { api: { authorizationSecretRef: { name: 'bot' } } } })
    await neighbour.kubectl('patch', 'shc/bot', '--type=merge', '-p', api)
    await eventually(async () => expect((await theirs(KEYS.neighbour)).status).toBe(200))
    expect((await theirs(KEYS.bot)).status).toBe(401)
    const nobody = await call(first, 'GET', 'nowhere/bot')
    expect(nobody).toMatchObject({ status: 401, body: (await theirs(KEYS.bot)).body })
  })

  it('follow their Secret', async () => {
    await bot.secret({ 'api-authorization': KEYS.next })
    await eventually(async () => expect((await call(first, 'GET', own(), { key: KEYS.next })).status).toBe(200))
    expect((await call(first, 'GET', own())).status).toBe(401)
  })
})

describe('the standby', () => {
  it('says that it is one, on a connection that ends, and is ready all the same', async () => {
    const { status, headers, body } = await call(second, 'GET', own())
    expect({ status, body }).toMatchObject({ status: 503, body: { code: 'NOT_LEADING', retry_after: 1 } })
    expect(headers.get('connection')).toBe('close')
    expect((await fetch(`${second.url}/readyz`)).status).toBe(200)
  })

  it('answers as soon as it leads', async () => {
    await first.crash()
    await reachable(second, 8, KEYS.next)
    const all = await call(second, 'PUT', own('/presence'), { body: { status: 'dnd' }, key: KEYS.next })
    expect(all).toMatchObject({ status: 200, body: { sent: 8 } })
    expect(bot.discord()).toMatchObject(HEALTHY)
  })
})

it('no key is in what the operators say', async () => {
  const said = await bot.kubectl('get', 'shardclusters,events,statefulsets,pods', '-A', '-o', 'yaml')
  expect(said).toContain('api-authorization')
  for (const text of [said, first.log(), second.log()]) {
    expect(text.length).toBeGreaterThan(1_000)
    for (const key of Object.values(KEYS)) expect(text).not.toContain(key)
  }
})
