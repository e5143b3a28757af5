import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { namespaces, secrets, services, shardClusters } from '../../../operator/kube/resources.ts'
import { type Json, manifest } from '../crd-server.ts'
import { grantRights, type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { type Bot, type Cluster, eventually, type OperatorWorld, startOperatorWorld } from './world.ts'

/** Somebody who may write ShardClusters and Secrets in a namespace of his own, against a bot in another one. */
const EVIL = 'aaa-evil'
/** Of what must be seen nowhere. */
const PRIVATE = 'line-1-of-a-private-key\nline-2-of-a-private-key'

let world: OperatorWorld
let victim: Bot
let operator: OperatorProcess
let attacker: Server
/** What the attacker's REST proxy says; undefined: what leads to his gateway. */
let answer: object | undefined
/** What was presented to his gateway. */
const tokens = new Set<string>()

beforeAll(async () => {
  world = await startOperatorWorld()
  await grantRights(world.server)
  operator = await startOperatorProcess(world.server, 'operator')
  attacker = createServer((request, response) => {
    if (request.url?.endsWith('/v10/gateway/bot')) {
      const limit = { total: 1_000, remaining: 1_000, reset_after: 0, max_concurrency: 1 }
      const lie = { url: evilGateway(), shards: 1, session_start_limit: limit }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? lie))
    } else response.writeHead(404).end()
  })
  const gateway = new WebSocketServer({ server: attacker })
  gateway.on('connection', (socket) => {
    socket.on('message', (text) => {
      const { d } = JSON.parse(String(text)) as { d?: { token?: string } | null }
      if (d?.token !== undefined) tokens.add(d.token)
    })
    socket.send(JSON.stringify({ op: 10, d: { heartbeat_interval: 40_000 } }))
  })
  await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.1', resolve))
  victim = await world.bot()
  await victim.secret()
  await victim.create()
  await victim.wait('Ready')
  await world.client.apply(namespaces, { metadata: { name: EVIL } })
})
afterAll(async () => {
  await operator?.stop()
  await world?.close()
  attacker?.closeAllConnections()
  attacker?.close()
})

const evilGateway = () => `ws://127.0.0.1:${(attacker.address() as AddressInfo).port}`
const victimsGateways = () =>
  [...world.kubelet.workers].filter(([key]) => key.startsWith(`${victim.namespace}/`)).map(([, w]) => w.gatewayUrl)
const get = (namespace: string, name: string) => world.client.get<Cluster>(shardClusters, { namespace, name })
const condition = async (namespace: string, name: string, type: string) =>
  (await get(namespace, name))?.status?.conditions?.find((one) => one.type === type)
const patch = (namespace: string, name: string, spec: object) =>
  world.server.kubectl(['-n', namespace, 'patch', 'shc', name, '--type=merge', '-p', JSON.stringify({ spec })])
const secret = (name: string, stringData: Record<string, string>) =>
  world.client.apply(secrets, { metadata: { namespace: EVIL, name }, ...{ stringData } })

async function create(name: string, change: (spec: Json) => void = () => {}): Promise<void> {
  const cluster = manifest(name, (spec) => {
    spec['totalShards'] = 2
    spec['tokenSecretRef'] = { name: 'evil' }
    spec['rest'] = { baseUrl: `http://127.0.0.1:${(attacker.address() as AddressInfo).port}`, timeoutSeconds: 5 }
    change(spec)
  })
  cluster.metadata['namespace'] = EVIL
  await world.server.create(cluster)
}

/** Everything that whoever may not read Secrets can read of it. */
async function shown(name: string): Promise<string> {
  const status = JSON.stringify((await get(EVIL, name))?.status)
  const events = await world.server.kubectl(['-n', EVIL, 'get', 'events', '-o', 'json'])
  return status + events + operator.log()
}

describe('a made-up token with the application id of a bot in another namespace', () => {
  beforeAll(async () => {
    const [id] = victim.token.split('.')
    await secret('evil', { token: `${id}.made.up` })
    await create('liar', (spec) => {
      spec['identify'] = { windowMilliseconds: 60_000 }
    })
    await eventually(async () => expect(await condition(EVIL, 'liar', 'Progressing')).toBeDefined())
  })

  it('tells the workers of that bot nothing, not even after a restart of the operator', async () => {
    await operator.stop()
    operator = await startOperatorProcess(world.server, 'operator-2')
    await victim.wait('Ready')
    const { identifies } = victim.discord()
    // The sessions of all its shards end: they identify anew, where their own REST proxy says.
    world.simulator.control('invalidate', {})
    await eventually(() => expect(victim.discord().identifies).toBe(identifies + 8))
    expect(new Set(victimsGateways())).toEqual(new Set([world.simulator.gatewayUrl]))
    expect([...tokens]).not.toContain(victim.token)
  }, 120_000)

  it('nor while the one set of shards follows the other, and the liar has its proxy asked again', async () => {
    // His own worker, which serves nobody else, was there.
    await eventually(() => expect(tokens.size).toBeGreaterThan(0))
    await patch(victim.namespace, 'bot', { totalShards: 6 })
    await patch(EVIL, 'liar', { rest: { timeoutSeconds: 6 } })
    await eventually(async () => expect((await victim.get()).status?.shards).toBe('6/6'))
    await victim.wait('Ready')
    expect(new Set(victimsGateways())).toEqual(new Set([world.simulator.gatewayUrl]))
    expect([...tokens]).not.toContain(victim.token)
  }, 120_000)
})

describe('what a REST proxy answers', () => {
  it('ends no operator, and is named', async () => {
    const limit = { total: 1_000, remaining: 1_000, reset_after: 1e300, max_concurrency: 1 }
    answer = { url: evilGateway(), shards: 1, session_start_limit: limit }
    await create('years')
    await eventually(async () =>
      expect(await condition(EVIL, 'years', 'Degraded')).toMatchObject({
        ...{ status: 'True', reason: 'RestProxyUnavailable' },
        message: expect.stringContaining('session_start_limit.reset_after'),
      }),
    )
    await patch(victim.namespace, 'bot', { totalWorkers: 3 })
    await eventually(async () => expect((await victim.held()).length).toBe(3))
    await victim.wait('Ready')
    answer = undefined
  })
})

describe('a Secret that cannot be what its field is for', () => {
  it.each(['tokenSecretRef', 'rest'])('in spec.%s is SecretInvalid, and shown nowhere', async (field) => {
    const name = `ill-formed-${field.toLowerCase()}`
    await secret('multi', { token: PRIVATE, 'rest-authorization': PRIVATE })
    await create(name, (spec) => {
      if (field === 'rest') spec['rest'] = { ...(spec['rest'] as object), authorizationSecretRef: { name: 'multi' } }
      else spec['tokenSecretRef'] = { name: 'multi' }
    })
    await eventually(async () =>
      expect(await condition(EVIL, name, 'Stalled')).toMatchObject({ status: 'True', reason: 'SecretInvalid' }),
    )
    const text = await shown(name)
    for (const line of PRIVATE.split('\n')) expect(text).not.toContain(line)
  })
})

describe('an object of another application that has the name of a child', () => {
  const key = 'a-secret-of-another-application'

  it('a Secret is neither used nor touched', async () => {
    await secret('mine-sharder-key', { authorization: key, other: 'value' })
    const before = await world.client.get(secrets, { namespace: EVIL, name: 'mine-sharder-key' })
    await create('mine')
    await eventually(async () =>
      expect(await condition(EVIL, 'mine', 'Stalled')).toMatchObject({
        ...{ status: 'True', reason: 'ApplyFailed' },
        message: expect.stringMatching(/The Secret mine-sharder-key, .* exists already/),
      }),
    )
    expect(await world.client.get(secrets, { namespace: EVIL, name: 'mine-sharder-key' })).toEqual(before)
    expect([...world.kubelet.workers.keys()].filter((pod) => pod.startsWith(`${EVIL}/mine-`))).toEqual([])
  })

  it('a headless Service keeps its selector', async () => {
    const metadata = { namespace: EVIL, name: 'hl-sharders' }
    const selector = { app: 'another' }
    await world.client.apply(services, {
      metadata,
      ...{ spec: { clusterIP: 'None', selector, ports: [{ port: 80 }] } },
    })
    await create('hl')
    await eventually(async () =>
      expect(await condition(EVIL, 'hl', 'Stalled')).toMatchObject({
        ...{ status: 'True', reason: 'ApplyFailed' },
        message: expect.stringContaining('The Service hl-sharders'),
      }),
    )
    expect(await world.client.get(services, metadata)).toMatchObject({ spec: { selector } })
    expect((await world.client.get(services, metadata))?.metadata.ownerReferences).toBeUndefined()
  })

  it('removed, it is in nobody’s way', async () => {
    await world.server.kubectl(['-n', EVIL, 'delete', 'secret/mine-sharder-key', 'service/hl-sharders'])
    for (const name of ['mine', 'hl'])
      await eventually(async () => expect(await condition(EVIL, name, 'Stalled')).toMatchObject({ status: 'False' }))
  }, 60_000)
})

it('a part of a pod that the API has no type for is refused in words, and not tried again and again', async () => {
  await create('typeless', (spec) => {
    spec['worker'] = { affinity: { containers: [] } }
  })
  await eventually(async () =>
    expect(await condition(EVIL, 'typeless', 'Stalled')).toMatchObject({ status: 'True', reason: 'ApplyFailed' }),
  )
})
