import { describe, expect, it } from 'vitest'
import { clusterKey } from '../../../operator/caches.ts'
import { pod } from './world.ts'

describe('the ShardCluster of a pod', () => {
  it('is told by its label, also while its StatefulSet does not own it', () => {
    expect(clusterKey(pod(0))).toBe('prod/bot')
    const { metadata } = pod(0)
    expect(clusterKey({ metadata: { ...metadata, ownerReferences: [] } })).toBe('prod/bot')
  })

  it('is none for a pod without the label', () => {
    const { labels: _, ...metadata } = pod(0).metadata
    expect(clusterKey({ metadata })).toBeUndefined()
  })
})
