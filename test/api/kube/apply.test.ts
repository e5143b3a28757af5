import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ConflictError,
  ForbiddenError,
  InvalidError,
  NotFoundError,
  UnauthorizedError,
} from '../../../operator/kube/errors.ts'
import { configMaps, pods } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { type ConfigMap, put, quiet, startWorld, type World } from './world.ts'

let world: World
let ns: string

beforeAll(async () => {
  world = await startWorld()
  ns = await world.namespace()
})
afterAll(() => world?.close())

describe('server-side apply', () => {
  it('creates, then updates, and leaves the fields of other managers alone', async () => {
    const created = await put(world, ns, 'shared', 'one')
    await world.server.kubectl(['-n', ns, 'patch', 'configmap', 'shared', '-p', '{"data":{"theirs":"kept"}}'])
    const updated = await put(world, ns, 'shared', 'two')
    expect(updated.data).toEqual({ value: 'two', theirs: 'kept' })
    expect(updated.metadata.uid).toBe(created.metadata.uid)
  })

  it('removes a field that is no longer applied', async () => {
    const { client } = world.direct
    const metadata = { namespace: ns, name: 'shrinks' }
    await client.apply(configMaps, { metadata, ...{ data: { a: '1', b: '2' } } })
    const after = await client.apply<ConfigMap>(configMaps, { metadata, ...{ data: { a: '1' } } })
    expect(after.data).toEqual({ a: '1' })
  })

  it('meets a conflict over a field of another manager, names it, and takes it by force', async () => {
    await put(world, ns, 'contested', 'ours')
    const other = world.link({ direct: true, manager: 'somebody-else' }).client
    const manifest = { metadata: { namespace: ns, name: 'contested' }, ...{ data: { value: 'theirs' } } }
    const refused = await other.apply(configMaps, manifest, { force: false }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(ConflictError)
    expect(String(refused)).toContain('shardcluster-operator')
    expect((await world.direct.client.get<ConfigMap>(configMaps, { namespace: ns, name: 'contested' }))?.data).toEqual({
      value: 'ours',
    })
    expect((await other.apply<ConfigMap>(configMaps, manifest)).data).toEqual({ value: 'theirs' })
  })

  it('writes status only through the status subresource', async () => {
    const { client } = world.direct
    const metadata = { namespace: ns, name: 'pod' }
    const spec = { containers: [{ name: 'c', image: 'none' }] }
    await client.apply(pods, { metadata, ...{ spec, status: { message: 'ignored' } } })
    expect(await client.get(pods, { namespace: ns, name: 'pod' })).not.toHaveProperty('status.message')
    await client.applyStatus(pods, { metadata, ...{ status: { message: 'applied' } } })
    expect(await client.get(pods, { namespace: ns, name: 'pod' })).toHaveProperty('status.message', 'applied')
    const missing = { metadata: { namespace: ns, name: 'missing' }, ...{ status: {} } }
    await expect(client.applyStatus(pods, missing)).rejects.toBeInstanceOf(NotFoundError)
  })

  it('is refused with the field and the reason when the object is invalid', async () => {
    const bad = { metadata: { namespace: ns, name: 'bad' }, ...{ spec: { containers: [{ name: 'NOT_A_NAME' }] } } }
    const refused = await world.direct.client.apply(pods, bad).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(InvalidError)
    const fields = (refused as InvalidError).causes.map(({ field }) => field)
    expect(fields).toContain('spec.containers[0].name')
  })

  it('is refused when a field is misspelt, instead of losing it silently', async () => {
    const typo = { metadata: { namespace: ns, name: 'typo' }, ...{ dataa: { value: 'x' } } }
    await expect(world.direct.client.apply(configMaps, typo)).rejects.toThrow(/dataa/)
  })
})

describe('delete', () => {
  it('deletes exactly the observed object', async () => {
    const { client } = world.direct
    const name = { namespace: ns, name: 'victim' }
    const first = await put(world, ns, 'victim', 'one')
    expect(await client.delete(configMaps, name, { uid: first.metadata.uid })).toBe('deleted')
    expect(await client.delete(configMaps, name, { uid: first.metadata.uid })).toBe('absent')
    const second = await put(world, ns, 'victim', 'two')
    expect(await client.delete(configMaps, name, { uid: first.metadata.uid })).toBe('changed')
    await put(world, ns, 'victim', 'three')
    const stale = { uid: second.metadata.uid, resourceVersion: second.metadata.resourceVersion }
    expect(await client.delete(configMaps, name, stale)).toBe('changed')
    expect((await client.get<ConfigMap>(configMaps, name))?.data).toEqual({ value: 'three' })
  })
})

describe('list', () => {
  it('reads all pages of more objects than a page holds', async () => {
    const many = await world.namespace()
    const names = Array.from({ length: 520 }, (_, index) => `cm-${index}`)
    for (let from = 0; from < names.length; from += 52) {
      await Promise.all(names.slice(from, from + 52).map((name) => put(world, many, name, 'x')))
    }
    const link = world.link({ direct: true })
    const { items } = await link.client.list<ConfigMap>(configMaps, { namespace: many })
    const found = new Set(items.map(({ metadata }) => metadata.name))
    expect(names.filter((name) => !found.has(name))).toEqual([])
    expect(items).toHaveLength(found.size)
    expect((await link.metrics.requests.get()).values.reduce((sum, { value }) => sum + value, 0)).toBe(2)
  })
})

describe('errors', () => {
  function linkAs(token: string | undefined, impersonate?: string): KubeTransport {
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(world.server.kubeconfig)
    const cluster = kubeConfig.getCurrentCluster()
    const user = kubeConfig.getCurrentUser()
    if (!cluster || !user) throw new Error('no cluster or user')
    const changed = token === undefined ? { ...user } : { name: 'other', token }
    kubeConfig.loadFromClusterAndUser(cluster, impersonate ? { ...changed, impersonateUser: impersonate } : changed)
    return KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger: quiet })
  }

  it('say Unauthorized for a wrong token and do not show it', async () => {
    const transport = linkAs('wrong-token-4711')
    const call = { method: 'GET', path: `/api/v1/namespaces/${ns}/pods` } as const
    const error = await transport.request(call).catch((refused: unknown) => refused)
    expect(error).toBeInstanceOf(UnauthorizedError)
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('4711')
    await transport.close()
  })

  it('say Forbidden, by whom and for what, when RBAC refuses', async () => {
    const transport = linkAs(undefined, 'mallory')
    const call = { method: 'GET', path: `/api/v1/namespaces/${ns}/secrets` } as const
    const error = await transport.request(call).catch((refused: unknown) => refused)
    expect(error).toBeInstanceOf(ForbiddenError)
    expect(String(error)).toMatch(/GET .*secrets: Forbidden: .*mallory/)
    await transport.close()
  })

  it('give undefined for an absent object', async () => {
    expect(await world.direct.client.get(configMaps, { namespace: ns, name: 'absent' })).toBeUndefined()
  })
})
