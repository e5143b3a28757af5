import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EVENT_LIMITS } from '../../../operator/kube/event-aggregator.ts'
import { EventRecorder } from '../../../operator/kube/events.ts'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { configMaps, namespaces } from '../../../operator/kube/resources.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { Answers, status } from './answers.ts'
import { type Link, put, quiet, startWorld, type World } from './world.ts'

let world: World
let ns: string

beforeAll(async () => {
  world = await startWorld()
  ns = await world.namespace()
})
afterAll(() => world?.close())

function recorderOf(link: Link): EventRecorder {
  const { transport, metrics } = link
  const identity = { controller: 'shardcluster.dev/operator', instance: 'operator-0' }
  return new EventRecorder({ transport, metrics, ...identity, clock: systemClock, random: () => 0, logger: quiet })
}

const about = (regarding: StoredObject, note: string, type: 'Normal' | 'Warning' = 'Normal') =>
  ({ regarding, resource: configMaps, type, reason: 'RangesMoved', action: 'Scale', note }) as const

interface KubectlEvent {
  readonly type: string
  readonly reason: string
  readonly message: string
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  readonly series?: { readonly count: number }
}

async function eventsOf(name: string, namespace = ns): Promise<KubectlEvent[]> {
  const selector = `--field-selector=involvedObject.name=${name}`
  const text = await world.server.kubectl(['-n', namespace, 'get', 'events', selector, '-o', 'json'])
  return (JSON.parse(text) as { items: KubectlEvent[] }).items
}

describe('EventRecorder', () => {
  it('writes what kubectl get events and kubectl describe show', async () => {
    const recorder = recorderOf(world.link())
    const object = await put(world, ns, 'shown', '1')
    recorder.record(about(object, 'moved shards 0-499 to worker 1', 'Warning'))
    await recorder.flush()
    const [event] = await eventsOf('shown')
    expect(event).toMatchObject({ type: 'Warning', reason: 'RangesMoved', message: 'moved shards 0-499 to worker 1' })
    expect(event?.involvedObject).toMatchObject({ kind: 'ConfigMap', name: 'shown', uid: object.metadata.uid })
    const table = await world.server.kubectl(['-n', ns, 'get', 'events'])
    expect(table).toMatch(/Warning\s+RangesMoved\s+configmap\/shown\s+moved shards 0-499 to worker 1/)
    expect(await world.server.kubectl(['-n', ns, 'describe', 'configmap', 'shown'])).toContain('RangesMoved')
  })

  it('makes equal events one with a series, and keeps different ones apart', async () => {
    const recorder = recorderOf(world.link())
    const object = await put(world, ns, 'repeated', '1')
    for (let time = 0; time < 5; time += 1) recorder.record(about(object, 'the same'))
    recorder.record(about(object, 'another'))
    await recorder.flush()
    const counts = (await eventsOf('repeated')).map(({ message, series }) => `${message}: ${series?.count}`)
    expect(counts.sort()).toEqual(['another: undefined', 'the same: 5'])
  })

  it('writes a new event when the series it counts on is gone', async () => {
    const recorder = recorderOf(world.link())
    const object = await put(world, ns, 'expired', '1')
    recorder.record(about(object, 'x'))
    await recorder.flush()
    await world.server.kubectl(['-n', ns, 'delete', 'events', '--all'])
    recorder.record(about(object, 'x'))
    await recorder.flush()
    expect(await eventsOf('expired')).toHaveLength(1)
  })

  it('stays within its limits for one object and counts the rest', async () => {
    const link = world.link()
    const recorder = recorderOf(link)
    const object = await put(world, ns, 'noisy', '1')
    for (let index = 0; index < 60; index += 1) recorder.record(about(object, `note ${index}`))
    await recorder.flush()
    expect(await eventsOf('noisy')).toHaveLength(EVENT_LIMITS.burst)
    expect((await link.metrics.eventsDropped.get()).values).toMatchObject([
      { value: 35, labels: { reason: 'rate_limit' } },
    ])
  })

  it('cuts a note that is too long, through no character, and names that are too long', async () => {
    const recorder = recorderOf(world.link())
    const object = await put(world, ns, 'n'.repeat(253), '1')
    recorder.record(about(object, '€'.repeat(500)))
    await recorder.flush()
    const [event] = await eventsOf('n'.repeat(253))
    // 1,024 bytes at most, of which the ellipsis has three, as a euro has.
    expect(event?.message).toBe(`${'€'.repeat(340)}…`)
  })

  it('puts the events of a cluster-scoped object into default', async () => {
    const recorder = recorderOf(world.link())
    const object = await world.direct.client.get(namespaces, { name: ns })
    if (!object) throw new Error('no namespace')
    recorder.record({ ...about(object, 'about a namespace'), resource: namespaces })
    await recorder.flush()
    expect(await eventsOf(ns, 'default')).toHaveLength(1)
  })

  it('tries again what may pass, gives up what is refused, and never throws', async () => {
    const answers = new Answers()
    const link = world.link({ intercept: answers.intercept })
    const recorder = recorderOf(link)
    const object = await put(world, ns, 'unlucky', '1')
    answers.push(500, status(500, 'InternalError'))
    recorder.record(about(object, 'passes at the second try'))
    await recorder.flush()
    answers.push(403, status(403, 'Forbidden'))
    recorder.record(about(object, 'is refused'))
    await recorder.flush()
    recorder.record(about(object, 'comes after'))
    await recorder.close()
    recorder.record(about(object, 'is too late'))
    const notes = (await eventsOf('unlucky')).map(({ message }) => message)
    expect(notes.sort()).toEqual(['comes after', 'passes at the second try'])
  })

  it('closes in its time when the API server does not answer', async () => {
    const recorder = recorderOf(world.link())
    const object = await put(world, ns, 'stuck', '1')
    world.proxy.blackHole()
    for (let index = 0; index < 5; index += 1) recorder.record(about(object, `note ${index}`))
    const startedAt = performance.now()
    await recorder.close(200)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    await world.proxy.heal()
  })
})
