import { Registry } from 'prom-client'
import { beforeEach, describe, expect, test } from 'vitest'
import { createFleetMetrics, type FleetMetrics, type ManagedFleet } from '../../../operator/fleet-metrics.ts'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { fleet } from './world.ts'

let registry: Registry
let metrics: FleetMetrics
beforeEach(() => {
  registry = new Registry()
  metrics = createFleetMetrics(registry)
})

/** The samples of a metric: their labels but the cluster, and their value. */
async function samples(name: string): Promise<[string, number][]> {
  const all = (await registry.getMetricsAsJSON()).find((metric) => metric.name === `shardcluster_${name}`)
  return (all?.values ?? []).map(({ labels: { cluster: _, ...labels }, value }) => [
    Object.values(labels).join(),
    value,
  ])
}

const managed = (change: Partial<ManagedFleet['fleet']> = {}): ManagedFleet => ({
  cluster: 'bots/bot',
  fleet: fleet(10, 2, { ready: 4, waiting: 2, identifying: 1, resuming: 1, misplaced: 0, ...change }),
  totalWorkers: 2,
  reserve: 100,
})
const withConditions = (conditions: object[]) =>
  ({ metadata: { namespace: 'bots', name: 'bot', uid: 'uid' }, status: { conditions } }) as unknown as StoredObject
const condition = (status: string, reason: string) => ({
  ...{ type: 'Stalled', status, reason, message: 'A sentence.' },
  lastTransitionTime: '2026-01-01T00:00:00Z',
})

describe('the gauges of ShardClusters', () => {
  test('are empty where nobody leads, and again when a leader has stopped', async () => {
    expect(await samples('shards')).toEqual([])
    const hide = metrics.show({ fleets: () => [managed()], clusters: () => [] })
    expect(await samples('shards')).not.toEqual([])
    hide()
    expect(await samples('shards')).toEqual([])
    expect(await samples('workers_desired')).toEqual([])
  })

  test('count each shard once; what no worker has is Offline', async () => {
    metrics.show({ fleets: () => [managed()], clusters: () => [] })
    expect(Object.fromEntries(await samples('shards'))).toEqual({
      ...{ Connected: 4, Unidentified: 2, Identifying: 1, Resuming: 1, Misplaced: 0 },
      Offline: 2,
    })
  })

  test('say nothing of a number of shards or a budget that is not known', async () => {
    metrics.show({ fleets: () => [managed({ totalShards: undefined, budget: undefined })], clusters: () => [] })
    expect([await samples('shards_desired'), await samples('identify_budget_remaining')]).toEqual([[], []])
    expect(await samples('identify_budget_reserve')).toEqual([['', 100]])
  })

  test('show the condition that is, and not the reason before', async () => {
    let now = condition('True', 'TokenRejected')
    metrics.show({ fleets: () => [], clusters: () => [withConditions([now])] })
    expect(await samples('condition')).toEqual([['Stalled,TokenRejected', 1]])
    now = condition('False', 'AsExpected')
    expect(await samples('condition')).toEqual([['Stalled,AsExpected', 0]])
    now = condition('Unknown', 'Starting')
    expect(await samples('condition')).toEqual([['Stalled,Starting', -1]])
  })
})
