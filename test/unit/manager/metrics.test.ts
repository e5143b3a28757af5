import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'

test('what a manager counts is there by cluster, with labels that stay few', async () => {
  const registry = new Registry()
  const metrics = createManagerMetrics(registry)
  metrics.identify('ns/bot', 'Lost', 'READY')
  metrics.identify('ns/bot', 'Lost', 'READY')
  metrics.identify('ns/bot', 'New', 'INVALID_SESSION')
  metrics.waited('ns/bot', 45_000)
  metrics.handedOver('ns/bot', 400)
  metrics.assigned('ns/bot', 3, 0)
  metrics.assigned('ns/bot', 2, 1)
  metrics.boundBroken('ns/bot', 'Line')
  const values = async (name: string) => {
    const { values = [] } = (await registry.getSingleMetric(name)?.get()) ?? {}
    return values.map(({ labels, value }) => [...Object.values(labels), value])
  }
  expect(await values('shardcluster_identifies_total')).toEqual([
    ['ns/bot', 'Lost', 'READY', 2],
    ['ns/bot', 'New', 'INVALID_SESSION', 1],
  ])
  // Of what did not happen there is no series.
  expect(await values('shardcluster_assigned_shards_total')).toEqual([
    ['ns/bot', 'known', 5],
    ['ns/bot', 'none', 1],
  ])
  expect(await values('shardcluster_bounds_broken_total')).toEqual([['ns/bot', 'Line', 1]])
  const text = await registry.metrics()
  expect(text).toContain('shardcluster_identify_wait_seconds_bucket{le="30",cluster="ns/bot"} 0')
  expect(text).toContain('shardcluster_identify_wait_seconds_bucket{le="60",cluster="ns/bot"} 1')
  expect(text).toContain('shardcluster_hand_over_seconds_sum{cluster="ns/bot"} 0.4')
  expect(text).toContain('shardcluster_hand_over_seconds_bucket{le="0.2",cluster="ns/bot"} 0')
  expect(text).toContain('shardcluster_hand_over_seconds_bucket{le="0.5",cluster="ns/bot"} 1')
})
