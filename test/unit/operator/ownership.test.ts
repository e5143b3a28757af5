import { describe, expect, it } from 'vitest'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { keySecret } from '../../../operator/manifests/key-secret.ts'
import { strangerOf } from '../../../operator/reconcile/ownership.ts'
import { cluster } from './world.ts'

const ours = cluster()
const child = keySecret(ours, { current: 'key' }) as unknown as StoredObject
const owned = (change: object): StoredObject => ({ metadata: { ...child.metadata, ...change } })
const owner = (change: object) => [{ ...child.metadata.ownerReferences?.[0], ...change }]

describe('an object with the name of a child', () => {
  it('is ours with our controller reference, whatever its labels', () => {
    expect(strangerOf(child, ours)).toBeUndefined()
    expect(strangerOf(owned({ labels: {} }), ours)).toBeUndefined()
  })

  it('is adopted when it was orphaned: our labels and no controller', () => {
    expect(strangerOf(owned({ ownerReferences: [] }), ours)).toBeUndefined()
  })

  it.each<[string, StoredObject, RegExp]>([
    ['of nobody', owned({ ownerReferences: [], labels: { app: 'other' } }), /nobody/],
    [
      'of another controller',
      owned({ ownerReferences: owner({ kind: 'Deployment', name: 'web', uid: 'x' }) }),
      /Deployment web/,
    ],
    ['of a former ShardCluster', owned({ ownerReferences: owner({ uid: 'former' }) }), /an earlier ShardCluster/],
    [
      'of another ShardCluster',
      owned({ ownerReferences: owner({ uid: 'x', name: 'other' }) }),
      /the ShardCluster other/,
    ],
    [
      'with the label of another ShardCluster',
      owned({ ownerReferences: [], labels: { ...child.metadata.labels, 'shardcluster.dev/cluster': 'other' } }),
      /nobody/,
    ],
  ])('%s is not', (_, object, whose) => expect(strangerOf(object, ours)).toMatch(whose))
})
