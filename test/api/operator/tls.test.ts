import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { secrets, statefulSets } from '../../../operator/kube/resources.ts'
import { readKeySecret } from '../../../operator/manifests/key-secret.ts'
import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import { authoritySecret, readTrust, tlsSecret } from '../../../operator/manifests/trust-secrets.ts'
import type { PodObject, SecretObject } from '../../../operator/reconcile/objects.ts'
import { issuing } from '../../../operator/trust/issue.ts'
import { shardClusterSchema } from '../../../src/api/shard-cluster.ts'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'
import { certificates } from '../../support/worker-certificates.ts'
import type { Json } from '../crd-server.ts'
import { TappedSharder } from './tapped-sharder.ts'
import { type Bot, eventually, type Operator, type OperatorWorld, startWorldOf } from './world.ts'

/** Real sharders, whose connections are listened to. */
let world: OperatorWorld<TappedSharder>
let operator: Operator
let bot: Bot
let sink: SampleBot
beforeAll(async () => {
  world = await startWorldOf((start) => TappedSharder.start(start))
  sink = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'events-key' })
  operator = await world.operator()
  bot = await world.bot()
  await bot.secret({ 'events-authorization': 'events-key' })
  await bot.create(listened)
  await bot.wait('Ready', 'True', 90)
})
afterAll(async () => {
  await world?.close()
  await sink?.close()
})
/** A shard is released when the sink has its events. */
const listened = (spec: Json) => {
  spec['events'] = [{ name: 'bot', http: { url: `${sink.url}/`, authorizationSecretRef: { name: 'bot' } } }]
}

const DAY = 86_400_000
const SERVERNAME = () => `bot-sharders.${bot.namespace}.svc`
const tapped = (of = bot) =>
  [...world.kubelet.workers].filter(([key]) => key.startsWith(`${of.namespace}/`)).map(([, worker]) => worker)
const stored = async (of = bot) =>
  readTrust(
    await of.child<SecretObject>(secrets, 'bot-sharder-ca'),
    await of.child<SecretObject>(secrets, 'bot-sharder-tls'),
  )
const keyOf = async (of = bot) =>
  readKeySecret(await of.child<SecretObject>(secrets, 'bot-sharder-key'))?.current ?? 'no key'
const podUids = async () =>
  (JSON.parse(await bot.kubectl('get', 'pods', '-o', 'json')) as { items: PodObject[] }).items.map(
    ({ metadata }) => metadata.uid,
  )
const undisturbed = { identifies: 8, connectedShards: 8, resumesRefused: 0, sessionsExpired: 0, violationDetails: [] }

/** The certificate that a pod shows, by the authorities that are given. */
async function shownBy(host: string, ca: readonly string[]): Promise<string> {
  const socket = connectTls({ host, port: SHARDER_PORT, ca: [...ca], servername: SERVERNAME() })
  await once(socket, 'secureConnect')
  const pem = socket.getPeerX509Certificate()?.toString() ?? ''
  socket.destroy()
  return pem
}
const hosts = async () =>
  (JSON.parse(await bot.kubectl('get', 'pods', '-o', 'json')) as { items: PodObject[] }).items.map(
    ({ status }) => status?.podIP ?? '',
  )

describe('between the operator and real sharders', () => {
  it('is TLS and nothing else: neither key nor command nor session can be read on the way', async () => {
    const seen = tapped().flatMap(({ connections }) => connections)
    expect(seen.length).toBeGreaterThanOrEqual(2)
    for (const { bytes } of seen) expect(bytes[0]).toBe(0x16)
    const all = Buffer.concat(seen.map(({ bytes }) => bytes)).toString('latin1')
    expect(all.length).toBeGreaterThan(5_000)
    for (const word of [await keyOf(), 'authorization', 'ASSIGN_SHARDS', 'SNAPSHOT', 'sessionId', 'HTTP/1.1'])
      expect(all).not.toContain(word)
  })

  it('leaves probes, metrics and an operator of the release before to plain HTTP', async () => {
    for (const host of await hosts()) {
      const get = (path: string, headers = {}) => fetch(`http://${host}:${SHARDER_PORT}${path}`, { headers })
      expect((await get('/readyz')).status).toBe(200)
      expect(await (await get('/metrics')).text()).toContain('shardcluster_')
      expect((await get('/shards')).status).toBe(401)
      expect((await get('/shards', { authorization: await keyOf() })).status).toBe(200)
    }
  })

  it('renews the authority and every certificate, and no stream, pod or session notices', async () => {
    const first = await stored()
    const [uids, { resumes }] = [await podUids(), bot.discord()]
    // What commands went through is closed after a while; the streams stay.
    await eventually(() => expect(tapped().map((pod) => pod.open.length)).toEqual([1, 1]))
    const open = tapped().flatMap((pod) => pod.open)
    const generation = (await bot.child(statefulSets, 'bot-8'))?.metadata.generation
    // As they would be in ten months.
    const aged = await issuing.authority({ from: Date.now() - 300 * DAY, until: Date.now() + 65 * DAY })
    const serving = await issuing.serving({
      ...{ from: Date.now() - 80 * DAY, until: Date.now() + 10 * DAY },
      ...{ servername: SERVERNAME(), authority: aged },
    })
    const old = { authority: { ...aged, retired: [] }, serving }
    const cluster = shardClusterSchema.parse(await bot.get())
    for (const secret of [authoritySecret(cluster, old), tlsSecret(cluster, old)])
      await world.client.apply(secrets, secret)
    const [host = ''] = await hosts()
    await eventually(async () => expect(await shownBy(host, [aged.certificate])).toBe(serving.certificate))
    world.kubelet.volumesLag = true
    // What has it read its Secrets again.
    await bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"identify":{"reserve":7}}}')
    const renewed = await eventually(async () => {
      const now = await stored()
      expect(now.authority?.retired).toEqual([aged.certificate, first.authority?.certificate])
      expect(now.serving?.certificate).not.toBe(serving.certificate)
      return now
    })
    const authority = renewed.authority?.certificate ?? ''
    // Workers still have the certificate of the retired one: connections that are made now are made with it.
    for (const pod of tapped()) pod.connections = []
    await bot.kubectl('scale', 'shc/bot', '--replicas=3')
    await eventually(async () => expect((await bot.held()).map((held) => held.length)).toEqual([2, 3, 3]))
    expect(open.every(({ destroyed }) => !destroyed)).toBe(true)
    world.kubelet.volumesLag = false
    for (const address of await hosts())
      await eventually(
        async () => expect(await shownBy(address, [authority])).toBe(renewed.serving?.certificate),
        20_000,
      )
    expect(open.every(({ destroyed }) => !destroyed)).toBe(true)
    await bot.kubectl('scale', 'shc/bot', '--replicas=2')
    await eventually(async () => expect((await bot.held()).map((held) => held.length)).toEqual([4, 4]))
    await bot.wait('Progressing', 'False')
    expect(bot.discord()).toMatchObject(undisturbed)
    expect(bot.discord().resumes).toBeGreaterThan(resumes)
    expect(await podUids()).toEqual(uids)
    expect((await bot.child(statefulSets, 'bot-8'))?.metadata.generation).toBe((generation ?? 0) + 2)
  })

  it('is taken up by another operator, with what the Secrets say', async () => {
    const before = await stored()
    await operator.stop()
    for (const pod of tapped()) pod.connections = []
    operator = await world.operator()
    await eventually(() => {
      for (const pod of tapped()) expect(pod.open.length).toBeGreaterThan(0)
    })
    await bot.wait('Ready')
    expect(await stored()).toEqual(before)
    for (const { bytes } of tapped().flatMap(({ connections }) => connections)) expect(bytes[0]).toBe(0x16)
    expect(bot.discord()).toMatchObject(undisturbed)
  })

  it('gives a man in the middle neither the key nor a byte of a command, and says who it is not', async () => {
    const { serving } = await certificates(SERVERNAME())
    const heard: string[] = []
    const impostor = createHttpsServer({ cert: serving.certificate, key: serving.privateKey }, (request, response) => {
      heard.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`)
      response.writeHead(401).end()
    })
    await using ending = new AsyncDisposableStack()
    ending.defer(() => void impostor.close())
    impostor.listen(0, '127.0.0.1')
    await once(impostor, 'listening')
    const [pod] = tapped()
    if (!pod) throw new Error('there is no pod')
    pod.connections = []
    pod.diverted = { host: '127.0.0.1', port: (impostor.address() as AddressInfo).port }
    pod.cut()
    const why = "the worker's certificate is not of this ShardCluster's authority"
    await eventually(async () => {
      const messages = (await bot.get()).status?.workerStatuses?.map(({ message }) => message) ?? []
      expect(messages.join()).toContain(why)
    }, 30_000)
    expect(pod.connections.length).toBeGreaterThan(0)
    expect(heard).toEqual([])
    const sent = Buffer.concat(pod.connections.map(({ bytes }) => bytes)).toString('latin1')
    expect(sent).not.toContain(await keyOf())
    pod.diverted = undefined
    pod.cut()
    await eventually(async () =>
      expect((await bot.get()).status?.workerStatuses?.map(({ message }) => message)).toEqual([undefined, undefined]),
    )
    await bot.wait('Ready')
    expect(bot.discord()).toMatchObject(undisturbed)
  })

  it('comes back by itself when somebody replaces the certificate, or loses the authority', async () => {
    const before = await stored()
    const theirs = await certificates(SERVERNAME())
    const cluster = shardClusterSchema.parse(await bot.get())
    const { data } = tlsSecret(cluster, theirs)
    await bot.kubectl('delete', 'secret/bot-sharder-ca')
    await bot.kubectl('patch', 'secret/bot-sharder-tls', '-p', JSON.stringify({ data }))
    const [host = ''] = await hosts()
    const theirAuthority = theirs.authority.certificate
    await eventually(async () => expect(await shownBy(host, [theirAuthority])).toBe(theirs.serving.certificate))
    for (const pod of tapped()) pod.cut()
    await eventually(async () => expect(await stored()).toEqual(before), 40_000)
    await eventually(async () => expect(await shownBy(host, before.anchors)).toBe(before.serving?.certificate), 20_000)
    await bot.wait('Ready')
    expect(bot.discord()).toMatchObject(undisturbed)
  })

  it('is plain HTTP with pods that serve no TLS, until they are replaced, worker by worker', async () => {
    const plain = await world.bot()
    await plain.secret({ 'events-authorization': 'events-key' })
    await plain.create((spec) => {
      listened(spec)
      spec['worker'] = { tls: false }
    })
    await plain.wait('Ready', 'True', 90)
    const connections = () => tapped(plain).flatMap((pod) => pod.connections)
    for (const { bytes } of connections()) expect(bytes.toString('latin1')).toMatch(/^(GET|POST) /)
    // What TLS keeps from whoever listens.
    const all = Buffer.concat(connections().map(({ bytes }) => bytes)).toString('latin1')
    for (const word of [await keyOf(plain), 'ASSIGN_SHARDS', 'sessionId']) expect(all).toContain(word)
    await plain.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"worker":{"tls":true}}}')
    await plain.wait('Progressing', 'False', 90)
    await eventually(() => {
      expect(connections().length).toBeGreaterThan(0)
      for (const { bytes } of connections()) expect(bytes[0]).toBe(0x16)
    })
    expect(plain.discord()).toMatchObject(undisturbed)
  })

  it('is in no status, event, StatefulSet or pod', async () => {
    const { authority, serving } = await stored()
    const said = await bot.kubectl('get', 'shardclusters,events,statefulsets,pods', '-o', 'yaml')
    expect(said).toContain('bot-sharder-tls')
    expect(said).not.toContain('bot-sharder-ca')
    for (const pem of [authority?.privateKey, serving?.privateKey]) expect(said).not.toContain(pem?.split('\n')[1])
  })
})
