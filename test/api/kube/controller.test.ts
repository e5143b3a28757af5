import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Controller, done } from '../../../operator/kube/controller.ts'
import { changed, enqueueObject, enqueueOwner } from '../../../operator/kube/handlers.ts'
import { splitKey } from '../../../operator/kube/objects.ts'
import { configMaps, type Resource } from '../../../operator/kube/resources.ts'
import { WorkQueue } from '../../../operator/kube/workqueue.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { follow } from './follow.ts'
import { type ConfigMap, eventually, put, quiet, startWorld, type World } from './world.ts'

/** Owners are matched by group and kind; here parents and children are of one kind and told apart by a label. */
const parent: Resource = configMaps
const isParent = ({ metadata }: ConfigMap) => metadata.labels?.['role'] === 'parent'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())

/** Every parent gets a child with the parent's value. Reads the cache, writes with apply; nothing else. */
function mirrorController(ns: string) {
  const watcher = follow(world, ns)
  const { link, reflector } = watcher
  const queue = new WorkQueue({ name: 'mirror', clock: systemClock, metrics: link.metrics })
  reflector.subscribe(enqueueObject(queue, ({ object }) => isParent(object)))
  reflector.subscribe(
    enqueueOwner(
      queue,
      parent,
      changed<ConfigMap>(({ data }) => data),
    ),
  )
  const controller = new Controller({
    name: 'mirror',
    queue,
    workers: 3,
    clock: systemClock,
    logger: quiet,
    metrics: link.metrics,
    timeoutMs: 20_000,
    reconcile: async (key, signal) => {
      const { namespace, name } = splitKey(key)
      const owner = reflector.store.get(key)
      if (!owner || !isParent(owner)) return done
      const child = reflector.store.childrenOf(owner.metadata.uid)[0]
      if (child?.data?.['value'] === owner.data?.['value']) return done
      const { uid } = owner.metadata
      const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid, controller: true }]
      const metadata = { namespace, name: `${name}-child`, ...{ ownerReferences } }
      await link.client.apply(configMaps, { metadata, ...{ data: owner.data } }, { signal, timeoutMs: 5_000 })
      return done
    },
  })
  const stop = new AbortController()
  const running = controller.run(stop.signal)
  return {
    watcher,
    async stop() {
      stop.abort()
      await running
      await watcher.stop()
    },
  }
}

describe('Controller on a real API server', () => {
  it('reaches the wanted state through cut connections, deleted children and a restart, and then keeps still', async () => {
    const ns = await world.namespace()
    const mirror = mirrorController(ns)
    const names = Array.from({ length: 12 }, (_, index) => `parent-${index}`)
    const write = (round: number) =>
      Promise.all(names.map((name) => put(world, ns, name, `round ${round}`, { role: 'parent' })))
    for (let round = 0; round < 6; round += 1) {
      await write(round)
      world.proxy.cut()
      if (round === 2) await world.server.restart()
      const victim = { namespace: ns, name: `parent-${round}-child` }
      await world.direct.client.delete(configMaps, victim)
    }
    await eventually(async () => {
      const { items } = await world.direct.client.list<ConfigMap>(configMaps, { namespace: ns })
      const found = items.map(({ metadata, data }) => `${metadata.name}=${data?.['value']}`)
      const wanted = names.flatMap((name) => [`${name}=round 5`, `${name}-child=round 5`])
      expect(found.filter((line) => line.startsWith('parent')).sort()).toEqual(wanted.sort())
    })
    await mirror.watcher.agrees()
    const applies = async () => {
      const { values } = await mirror.watcher.link.metrics.requests.get()
      return values.filter(({ labels }) => labels.method === 'PATCH').reduce((sum, { value }) => sum + value, 0)
    }
    const before = await applies()
    await write(5)
    await put(world, ns, 'unrelated', '1')
    await mirror.watcher.agrees()
    expect(await applies()).toBe(before)
    await mirror.stop()
    expect(mirror.watcher.link.transport.openStreams).toBe(0)
  })
})
