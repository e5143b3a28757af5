import { describe, expect, it } from 'vitest'
import { CONTAINER } from '../../../operator/manifests/pod.ts'
import { mayHoldShards, type PodObject, runs } from '../../../operator/reconcile/objects.ts'
import { pod } from './world.ts'

type Status = NonNullable<PodObject['status']>
type Container = NonNullable<Status['containerStatuses']>[number]

const podWith = (container: Partial<Container> | undefined, more: Partial<Status> = {}, deleted = false): PodObject => {
  const { metadata } = pod(0)
  const containerStatuses = container ? [{ name: CONTAINER, ...container }] : []
  return {
    metadata: deleted ? { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } : metadata,
    status: { phase: 'Running', containerStatuses, ...more },
  }
}
const waiting = { state: { waiting: { reason: 'CrashLoopBackOff' } } }
const terminated = { state: { terminated: { exitCode: 137 } } }

describe('a pod', () => {
  it.each([
    ['whose container runs', podWith({ state: { running: {} } }), true],
    ['whose container just ended', podWith(terminated), true],
    ['whose container waits to be started again', podWith({ ...waiting, restartCount: 1 }), true],
    [
      'whose container ended once and cannot be started again, because its image is not there any more',
      podWith({ state: { waiting: { reason: 'ErrImagePull' } }, lastState: { terminated: {} }, restartCount: 0 }),
      true,
    ],
    ['that is being deleted and still runs', podWith({ state: { running: {} } }, {}, true), true],
    ['that is being deleted and has ended: the kubelet starts nothing in it', podWith(terminated, {}, true), false],
    ['that is being deleted between two runs', podWith({ ...waiting, restartCount: 3 }, {}, true), false],
    ['that never ran', podWith({ state: { waiting: { reason: 'ImagePullBackOff' } }, restartCount: 0 }), false],
    ['of which the kubelet has said nothing', podWith(undefined), false],
    ['that was evicted', podWith(terminated, { phase: 'Failed' }), false],
    ['that has ended', podWith({ ...waiting, restartCount: 2 }, { phase: 'Succeeded' }), false],
    ['of which only another container ran', podWith({ name: 'sidecar', ...terminated }), false],
  ])('%s', (_, one, may) => {
    expect(mayHoldShards(one, CONTAINER)).toBe(may)
    // Whatever runs may hold shards.
    if (runs(one, CONTAINER)) expect(may).toBe(true)
  })
})
