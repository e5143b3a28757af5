import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configMaps } from '../../../operator/kube/resources.ts'
import { Answers, status } from './answers.ts'
import { follow, openWatches } from './follow.ts'
import { eventually, put, startWorld, type World } from './world.ts'

let world: World
let ns: string

beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())

const fresh = async () => {
  ns = await world.namespace()
  return ns
}
const remove = (name: string) => world.direct.client.delete(configMaps, { namespace: ns, name })

describe('Reflector', () => {
  it('lists, then follows additions, updates and deletions', async () => {
    await put(world, await fresh(), 'old', '0')
    const watcher = follow(world, ns)
    expect(watcher.reflector.hasSynced).toBe(false)
    await watcher.reflector.whenSynced()
    expect(watcher.reflector.store.get(`${ns}/old`)?.data).toEqual({ value: '0' })
    await put(world, ns, 'new', '1')
    await put(world, ns, 'new', '2')
    await remove('old')
    await watcher.agrees()
    expect(watcher.heard).toEqual(['added old 0', 'added new 1', 'updated new 2', 'deleted old 0'])
    await watcher.stop()
  })

  it('hears every change once, in order, while its connections are cut again and again, and lists only once', async () => {
    await fresh()
    const watcher = follow(world, ns, { backoff: { baseMs: 1, capMs: 5, jitter: 1, resetAfterMs: 120_000 } })
    await watcher.reflector.whenSynced()
    const written: string[] = []
    for (let value = 0; value < 200; value += 1) {
      await put(world, ns, 'busy', `${value}`)
      written.push(`${value === 0 ? 'added' : 'updated'} busy ${value}`)
      if (value % 10 === 5) world.proxy.cut()
    }
    await watcher.agrees()
    expect(watcher.heard).toEqual(written)
    expect(await watcher.counted('lists')).toBe(1)
    expect(await watcher.counted('failures')).toBeGreaterThanOrEqual(5)
    await watcher.stop()
  })

  it('watches on from the same version while connections are refused, without a list', async () => {
    await fresh()
    const watcher = follow(world, ns)
    await watcher.reflector.whenSynced()
    await world.proxy.refuse()
    world.proxy.cut()
    await put(world, ns, 'meanwhile', '1')
    await eventually(async () => expect(await watcher.counted('failures')).toBeGreaterThan(8))
    await world.proxy.heal()
    await watcher.agrees()
    expect(await watcher.counted('lists')).toBe(1)
    await watcher.stop()
  })

  it('finds what happened around a restart of the API server, replaced objects included', async () => {
    await fresh()
    const before = await openWatches(world)
    for (const name of ['stays', 'goes', 'replaced']) await put(world, ns, name, '1')
    const watcher = follow(world, ns)
    await watcher.reflector.whenSynced()
    await world.proxy.refuse()
    world.proxy.cut()
    await remove('goes')
    await remove('replaced')
    await put(world, ns, 'replaced', '2')
    await put(world, ns, 'comes', '1')
    await world.server.restart()
    await world.proxy.heal()
    await watcher.agrees()
    const { heard } = watcher
    expect(heard.slice(3).sort()).toEqual(['added comes 1', 'added replaced 2', 'deleted goes 1', 'deleted replaced 1'])
    // The restarted server keeps no history from before: its own 410, not an injected one, asked for the second list.
    expect(await watcher.counted('lists')).toBe(2)
    await put(world, ns, 'stays', '2')
    await watcher.agrees()
    await eventually(async () => expect(await openWatches(world)).toBe(before + 1))
    await watcher.stop()
  })

  it('lists again after 410, as an answer and as an event of the stream, and tells a replaced object from an update', async () => {
    await fresh()
    await put(world, ns, 'a', '1')
    const answers = new Answers()
    const watcher = follow(world, ns, { link: world.link({ intercept: answers.intercept }) })
    await watcher.reflector.whenSynced()
    for (const gone of [
      () => answers.push(410, status(410, 'Expired', 'too old resource version')),
      () => answers.push(200, `${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`),
    ]) {
      await eventually(() => expect(watcher.link.transport.openStreams).toBe(1))
      const lists = await watcher.counted('lists')
      gone()
      await world.proxy.refuse()
      world.proxy.cut()
      await remove('a')
      await put(world, ns, 'a', '2')
      await world.proxy.heal()
      await watcher.agrees()
      expect(await watcher.counted('lists')).toBe(lists + 1)
    }
    expect(answers.given).toBe(2)
    const told = watcher.heard.map((line) => line.split(' ')[0])
    expect(told).toEqual(['added', 'deleted', 'added', 'deleted', 'added'])
    await watcher.stop()
  })

  it('outlives 500, 503, 429, nonsense and errors in the stream', async () => {
    await fresh()
    const answers = new Answers()
    const watcher = follow(world, ns, { link: world.link({ intercept: answers.intercept }) })
    answers.push(500, status(500, 'InternalError'))
    await watcher.reflector.whenSynced()
    await eventually(() => expect(watcher.link.transport.openStreams).toBe(1))
    const faults: [number, unknown, Record<string, string>?][] = [
      [500, status(500, 'InternalError')],
      [503, 'no healthy upstream'],
      [429, status(429, 'TooManyRequests'), { 'retry-after': '0' }],
      [403, status(403, 'Forbidden')],
      [200, 'this is no watch\n'],
      [200, `${JSON.stringify({ type: 'ERROR', object: status(500, 'InternalError') })}\n`],
      [200, ''],
    ]
    for (const [code, body, headers] of faults) answers.push(code, body, headers)
    world.proxy.cut()
    await put(world, ns, 'after', '1')
    await watcher.agrees()
    expect(answers.given).toBe(1 + faults.length)
    await watcher.stop()
  })

  it('has one watch open, not more, after many reconnects, and none after stop', async () => {
    await fresh()
    const before = await openWatches(world)
    const watcher = follow(world, ns)
    await watcher.reflector.whenSynced()
    for (let turn = 0; turn < 10; turn += 1) {
      world.proxy.cut()
      await put(world, ns, 'x', `${turn}`)
      await watcher.agrees()
    }
    await eventually(async () => expect(await openWatches(world)).toBe(before + 1))
    expect(watcher.link.transport.openStreams).toBe(1)
    await watcher.stop()
    await eventually(async () => expect(await openWatches(world)).toBe(before))
    expect(watcher.link.transport.openStreams).toBe(0)
    const heard = watcher.heard.length
    await put(world, ns, 'x', 'after the stop')
    await watcher.link.transport.close()
    expect(watcher.heard).toHaveLength(heard)
  })

  it('renews quiet watches at the agreed time, from bookmarks, without a list and without a failure', async () => {
    await fresh()
    const watcher = follow(world, ns, { watchSeconds: { min: 1, max: 2 } })
    await eventually(async () => expect(await watcher.counted('watches')).toBeGreaterThan(3))
    await put(world, ns, 'late', '1')
    await watcher.agrees()
    expect(await watcher.counted('lists')).toBe(1)
    expect(await watcher.counted('failures')).toBe(0)
    await watcher.stop()
  })

  it('gives up a watch that a black hole swallowed, at the latest 5 s after its agreed end', async () => {
    await fresh()
    const watcher = follow(world, ns, { watchSeconds: { min: 2, max: 2 } })
    await watcher.reflector.whenSynced()
    await eventually(() => expect(watcher.link.transport.openStreams).toBe(1))
    world.proxy.blackHole({ onlyOpen: true })
    const swallowedAt = performance.now()
    await put(world, ns, 'unheard', '1')
    await watcher.agrees()
    // 2 s agreed, 5 s grace, a new connection; the rest is for a busy machine. A call that met the same dead
    // connection again would need its own 30 s.
    expect(performance.now() - swallowedAt).toBeLessThan(20_000)
    await watcher.stop()
  })

  it('counts a handler that throws, and tells the others all the same', async () => {
    await fresh()
    const watcher = follow(world, ns)
    const told: string[] = []
    watcher.reflector.subscribe(() => {
      throw new Error('a bug of ours')
    })
    watcher.reflector.subscribe(({ object }) => told.push(object.metadata.name))
    await watcher.reflector.whenSynced()
    await put(world, ns, 'a', '1')
    await put(world, ns, 'b', '1')
    await watcher.agrees()
    expect(told).toEqual(['a', 'b'])
    expect(await watcher.counted('handlerErrors')).toBe(2)
    expect(await watcher.counted('failures')).toBe(0)
    await watcher.stop()
  })

  it('sees an object that leaves the label selection as deleted', async () => {
    await fresh()
    const watcher = follow(world, ns, { labelSelector: 'team=blue' })
    await watcher.reflector.whenSynced()
    await put(world, ns, 'red', '1', { team: 'red' })
    await put(world, ns, 'blue', '1', { team: 'blue' })
    await put(world, ns, 'blue', '2', { team: 'red' })
    // The server sends the last state that was selected, not the one that is no longer.
    await eventually(() => expect(watcher.heard).toEqual(['added blue 1', 'deleted blue 1']))
    await watcher.agrees()
    await watcher.stop()
  })

  it('finds the children of an owner, and tells a late subscriber what is there', async () => {
    await fresh()
    const owner = await put(world, ns, 'owner', '1')
    const controller = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid, controller: true }
    for (const name of ['child-1', 'child-2']) {
      await world.direct.client.apply(configMaps, {
        metadata: { namespace: ns, name, ...{ ownerReferences: [controller] } },
      })
    }
    const watcher = follow(world, ns)
    await watcher.reflector.whenSynced()
    const children = watcher.reflector.store.childrenOf(owner.metadata.uid).map(({ metadata }) => metadata.name)
    expect(children.sort()).toEqual(['child-1', 'child-2'])
    const told: string[] = []
    watcher.reflector.subscribe(({ type, object }) => told.push(`${type} ${object.metadata.name}`))
    expect(told.sort()).toEqual(['added child-1', 'added child-2', 'added owner'])
    await watcher.stop()
  })

  it('stops during its first list and while it waits to try again', async () => {
    await fresh()
    const early = follow(world, ns)
    await early.stop()
    expect(early.link.transport.openStreams).toBe(0)
    await world.proxy.refuse()
    const waiting = follow(world, ns, { backoff: { baseMs: 3_600_000, capMs: 3_600_000, jitter: 0, resetAfterMs: 1 } })
    await eventually(async () => expect(await waiting.counted('failures')).toBe(1))
    await waiting.stop()
    await world.proxy.heal()
  })
})
