import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { services, statefulSets } from '../../../operator/kube/resources.ts'
import { freePorts } from '../../support/apiserver/ports.ts'
import { type Bot, eventually, type OperatorWorld, startOperatorWorld } from './world.ts'

let world: OperatorWorld
const servers: Server[] = []
beforeAll(async () => {
  world = await startOperatorWorld()
  await world.operator()
})
afterAll(async () => {
  await world?.close()
  for (const server of servers) server.closeAllConnections()
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
})

/** Waits until a condition is as wanted, and says of it what the status says. */
function found(bot: Bot, type: 'Stalled' | 'Degraded' | 'Ready', status: 'True' | 'False', reason: string) {
  return eventually(async () => {
    const condition = (await bot.conditions())[type]
    expect(condition).toMatchObject({ status, reason })
    return condition.message
  })
}
const warned = async (bot: Bot, reason: string) =>
  eventually(async () =>
    expect((await bot.events()).filter(({ type }) => type === 'Warning').map((event) => event.reason)).toContain(
      reason,
    ),
  )

describe('a Secret', () => {
  it('that is missing is named in a condition and an event; once it is there, everything goes on', async () => {
    const bot = await world.bot()
    await bot.create()
    expect(await found(bot, 'Stalled', 'True', 'SecretNotFound')).toContain('the Secret bot')
    await warned(bot, 'SecretNotFound')
    expect(await bot.child(services, 'bot-sharders')).toBeUndefined()
    expect(await bot.child(statefulSets, 'bot-8')).toBeUndefined()
    await world.client.apply(
      { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true },
      {
        metadata: { namespace: bot.namespace, name: 'bot' },
        ...{ stringData: { token: bot.token } },
      },
    )
    expect(await found(bot, 'Stalled', 'True', 'SecretKeyMissing')).toContain('the key rest-authorization')
    await bot.secret()
    await bot.wait('Ready')
    expect((await bot.conditions()).Stalled).toMatchObject({ status: 'False' })
  })
})

describe('the REST proxy', () => {
  it('that refuses the key: said so; the right key is used as soon as it is seen', async () => {
    const bot = await world.bot()
    await bot.secret({ 'rest-authorization': 'wrong' })
    await bot.create()
    expect(await found(bot, 'Degraded', 'True', 'RestProxyUnauthorized')).toContain('rest.authorizationSecretRef')
    await warned(bot, 'RestProxyUnauthorized')
    await bot.secret()
    await bot.wait('Ready')
    expect((await bot.conditions()).Degraded).toMatchObject({ status: 'False' })
  })

  it('that is down: said so; it is found when it comes up', async () => {
    const [port = 0] = await freePorts(1)
    const bot = await world.bot({ restUrl: `http://127.0.0.1:${port}` })
    await bot.secret()
    await bot.create()
    expect(await found(bot, 'Degraded', 'True', 'RestProxyUnavailable')).toContain('ECONNREFUSED')
    await world.restProxy(bot.token, port)
    await bot.wait('Ready')
  })

  it('that is rate limited: said so, not asked again before its time, and then it goes on', async () => {
    const asked: number[] = []
    const bot = await world.bot()
    const limited = createServer((request, response) => {
      asked.push(performance.now())
      if (asked.length > 1) {
        const { authorization = '' } = request.headers
        void fetch(`${bot.restUrl}${request.url}`, { headers: { authorization } })
          .then((answer) => answer.text())
          .then((text) => response.writeHead(200, { 'content-type': 'application/json' }).end(text))
        return
      }
      const body = { message: 'You are being rate limited.', retry_after: 4, global: false }
      response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    servers.push(limited)
    await new Promise<void>((resolve) => limited.listen(0, '127.0.0.1', resolve))
    await bot.secret()
    await bot.create((spec) => {
      const { port } = limited.address() as AddressInfo
      spec['rest'] = { baseUrl: `http://127.0.0.1:${port}`, authorizationSecretRef: { name: 'bot' } }
    })
    expect(await found(bot, 'Degraded', 'True', 'RestProxyRateLimited')).toContain('for 4 s')
    await bot.wait('Ready')
    expect((asked[1] ?? 0) - (asked[0] ?? 0)).toBeGreaterThanOrEqual(3_900)
  })
})

describe('a wrong token', () => {
  it('stalls; the right one recovers, also when it reaches the pods later than the operator', async () => {
    const bot = await world.bot()
    await bot.secret({ token: 'wrong' })
    await bot.create()
    expect(await found(bot, 'Stalled', 'True', 'TokenRejected')).toContain('close 4004')
    await warned(bot, 'TokenRejected')
    const { closes } = world.simulator.stats()
    world.kubelet.volumesLag = true
    await bot.secret()
    // The operator has seen it, and its workers have tried the old one once more.
    await eventually(() => expect(world.simulator.stats().closes['4004']).toBeGreaterThan(closes['4004'] ?? 0))
    world.kubelet.volumesLag = false
    await bot.wait('Ready', 'True', 55)
    expect((await bot.conditions()).Stalled).toMatchObject({ status: 'False' })
    expect(bot.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  }, 120_000)
})

describe('a ShardCluster that cannot be', () => {
  it('carried out says why and delays no other; corrected, it goes on', async () => {
    const [broken, sound] = [await world.bot(), await world.bot()]
    await Promise.all([broken.secret(), sound.secret()])
    await broken.create((spec) => {
      spec['worker'] = { tolerations: [{ operator: 'Sometimes' }] }
    })
    expect(await found(broken, 'Stalled', 'True', 'ApplyFailed')).toContain('tolerations')
    await warned(broken, 'ApplyFailed')
    await sound.create()
    await sound.wait('Ready')
    await broken.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"worker":{"tolerations":null}}}')
    await broken.wait('Ready')
    expect((await broken.conditions()).Stalled).toMatchObject({ status: 'False' })
  })

  it('read by this operator says so and delays no other; corrected, it goes on', async () => {
    const path = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/gateway/properties/version/maximum'
    const patch = JSON.stringify([{ op: 'replace', path, value: 11 }])
    await world.server.kubectl(['patch', 'crd/shardclusters.shardcluster.dev', '--type=json', '-p', patch])
    const [newer, sound] = [await world.bot(), await world.bot()]
    await Promise.all([newer.secret(), sound.secret()])
    await eventually(() =>
      newer.create((spec) => {
        spec['gateway'] = { ...(spec['gateway'] as object), version: 11 }
      }),
    )
    expect(await found(newer, 'Stalled', 'True', 'InvalidSpec')).toContain('spec.gateway.version')
    await warned(newer, 'InvalidSpec')
    await sound.create()
    await sound.wait('Ready')
    await newer.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"gateway":{"version":10}}}')
    await newer.wait('Ready')
  })
})

describe("Discord's recommendation", () => {
  it('is asked once and kept', async () => {
    const bot = await world.bot()
    await bot.secret()
    await bot.create((spec) => {
      delete spec['totalShards']
    })
    await bot.wait('Ready')
    expect((await bot.get()).status).toMatchObject({ totalShards: 6, shards: '6/6' })
    expect(await bot.held()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
    expect(await bot.child(statefulSets, 'bot-6')).toBeDefined()
  })
})

describe('a sink', () => {
  it('that refuses the key: Degraded, with a warning; mended when it takes events again', async () => {
    const bot = await world.bot()
    await bot.secret()
    await bot.create()
    await bot.wait('Ready')
    const worker = world.kubelet.workers.get(`${bot.namespace}/bot-8-1`)
    worker?.report([{ name: 'bot', state: 'Unauthorized', message: 'answered 401', pending: 7 }])
    expect(await found(bot, 'Degraded', 'True', 'SinkUnauthorized')).toContain('Sink bot of worker bot-8-1')
    await warned(bot, 'SinkUnauthorized')
    expect((await bot.conditions()).Ready).toMatchObject({ status: 'True' })
    worker?.report([{ name: 'bot', state: 'Flowing', pending: 0 }])
    await found(bot, 'Degraded', 'False', 'AsExpected')
  })
})
