import { expect } from 'vitest'
import { Reflector, type ReflectorOptions } from '../../../operator/kube/reflector.ts'
import { configMaps } from '../../../operator/kube/resources.ts'
import type { Change } from '../../../operator/kube/store.ts'
import { systemClock } from '../../../src/support/clock.ts'
import { type ConfigMap, eventually, type Link, quiet, type World } from './world.ts'

/** A reflector on the ConfigMaps of a namespace, with what its handler heard. Back-off is short, rules are the same. */
export function follow(world: World, namespace: string, options: Partial<ReflectorOptions> & { link?: Link } = {}) {
  const { link = world.link(), ...more } = options
  const reflector = new Reflector<ConfigMap>({
    transport: link.transport,
    resource: configMaps,
    namespace,
    clock: systemClock,
    random: Math.random,
    logger: quiet,
    metrics: link.metrics,
    backoff: { baseMs: 20, capMs: 300, jitter: 1, resetAfterMs: 120_000 },
    ...more,
  })
  /** What a consumer knows that only listened to changes. */
  const mirror = new Map<string, ConfigMap>()
  const heard: string[] = []
  reflector.subscribe((change: Change<ConfigMap>) => {
    const { name } = change.object.metadata
    heard.push(`${change.type} ${name} ${change.object.data?.['value']}`)
    if (change.type === 'added') expect(mirror.has(name)).toBe(false)
    if (change.type === 'deleted') mirror.delete(name)
    else mirror.set(name, change.object)
  })
  const stop = new AbortController()
  const running = reflector.run(stop.signal)
  const counted = async (metric: keyof typeof counters) => (await counters[metric].get()).values[0]?.value ?? 0
  const counters = {
    lists: link.metrics.lists,
    watches: link.metrics.watches,
    failures: link.metrics.watchFailures,
    handlerErrors: link.metrics.handlerErrors,
  }
  return {
    reflector,
    link,
    heard,
    counted,
    /** Waits until store and mirror are what the API server has, object by object, version by version. */
    async agrees() {
      await eventually(async () => {
        const { items } = await world.direct.client.list<ConfigMap>(configMaps, { namespace, ...more })
        const expected = items.map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`)
        const versions = (objects: Iterable<ConfigMap>) =>
          [...objects].map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`).sort()
        expect(versions(reflector.store.list())).toEqual(expected.sort())
        expect(versions(mirror.values())).toEqual(expected.sort())
      })
    },
    async stop() {
      stop.abort()
      await running
    },
  }
}

/** Watches on ConfigMaps of one namespace that the API server has open: its own count, so nothing escapes it. */
export async function openWatches(world: World): Promise<number> {
  const text = await world.server.kubectl(['get', '--raw', '/metrics'])
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith('apiserver_longrunning_requests{'))
    .filter((line) => line.includes('resource="configmaps"') && line.includes('scope="namespace"'))
    .filter((line) => line.includes('verb="WATCH"'))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
