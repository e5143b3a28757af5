import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide, managedOf, type Plan, replicasOf } from '../../../operator/reconcile/decide.ts'
import type { Observed } from '../../../operator/reconcile/observed.ts'
import { shardClusterSchema } from '../../../src/api/shard-cluster.ts'
import { statusSchema } from '../../../src/api/status.ts'
import { cluster, fleet, KEY, observed, pod, set } from './world.ts'

const names = (plan: Plan) => plan.apply.map(({ manifest }) => manifest.metadata.name)
const kinds = (plan: Plan) => plan.apply.map(({ resource }) => resource.kind)
const condition = (plan: Plan, type: string) => plan.status.conditions?.find((one) => one.type === type)
const replicas = (plan: Plan) =>
  plan.apply
    .map(({ manifest }) => (manifest as { spec?: { replicas?: number } }).spec?.replicas)
    .find((n) => n !== undefined)
const missing = (reason: 'SecretNotFound' | 'SecretKeyMissing') => ({
  ok: false as const,
  problem: { reason, message: 'create it' },
})
/** After `plan` was carried out. */
const afterwards = (plan: Plan, change: Partial<Observed> = {}) => observed({ status: plan.status, ...change })
const withoutNumber = () => {
  const { totalShards: _, ...spec } = cluster().spec
  return shardClusterSchema.parse({ ...cluster(), spec })
}
const fresh = { statefulSets: [], pods: [], fleet: undefined, settling: true }

describe('decide', () => {
  it.each(['SecretNotFound', 'SecretKeyMissing'] as const)('%s: no children, Stalled, and another look', (reason) => {
    const seen = observed({ ...fresh, credentials: missing(reason) })
    const plan = decide(seen)
    expect(plan).toMatchObject({ apply: [], remove: [] })
    expect(managedOf(seen)).toBeUndefined()
    expect(condition(plan, 'Stalled')).toMatchObject({ status: 'True', reason, message: 'create it' })
    expect(condition(plan, 'Ready')).toMatchObject({ status: 'False', reason })
    expect(plan.events).toMatchObject([{ type: 'Warning', reason, note: 'create it' }])
    expect(plan.requeue?.afterMs).toBeGreaterThan(0)
  })

  it('a number of shards that is not known yet: everything but the StatefulSet', () => {
    const seen = observed({ ...fresh, cluster: withoutNumber(), fleet: fleet(undefined, 2) })
    const plan = decide(seen)
    expect(kinds(plan)).toEqual(['Secret', 'Secret', 'Secret', 'Service', 'PodDisruptionBudget'])
    expect(managedOf(seen)).toMatchObject({ totalShards: undefined })
    expect(condition(plan, 'Ready')).toMatchObject({ status: 'False', reason: 'WaitingForSessionInfo' })
    expect(plan.status).not.toHaveProperty('totalShards')
  })

  it("Discord's recommendation: taken when it comes, kept when it changes, given up for the user's number", () => {
    const first = decide(observed({ ...fresh, cluster: withoutNumber(), fleet: fleet(6, 2, { ready: 0 }) }))
    expect(first.status.totalShards).toBe(6)
    expect(kinds(first)).toContain('StatefulSet')
    const seen = afterwards(first, { cluster: withoutNumber(), fleet: fleet(9, 2) })
    const later = decide(seen)
    expect(managedOf(seen)).toMatchObject({ totalShards: 6 })
    expect(later.status.totalShards).toBe(6)
    expect(decide(afterwards(later)).status.totalShards).toBe(8)
  })

  it('a number that does not fit: nothing is applied but what workers are known by, the manager still learns of the pods, and the user of the way out', () => {
    const small = cluster({ shardsPerWorker: 4, totalWorkers: 1, totalShards: 8 })
    const seen = observed({ cluster: small })
    const plan = decide(seen)
    expect(names(plan)).toEqual(['bot-sharder-ca', 'bot-sharder-tls'])
    expect(managedOf(seen)?.pods).toHaveLength(2)
    expect(condition(plan, 'Stalled')).toMatchObject({ status: 'True', reason: 'TooManyShards' })
    expect(condition(plan, 'Stalled')?.message).toContain('totalWorkers to at least 2')
  })

  it('a key that was never made is made, and the one there is stays', () => {
    const data = (plan: Plan) =>
      (plan.apply[0]?.manifest as { data?: Record<string, string> } | undefined)?.data?.['authorization']
    const encoded = (text: string) => Buffer.from(text).toString('base64')
    const none = { ok: true as const, credentials: { token: 't', restAuthorization: undefined, key: undefined } }
    const plan = decide(observed({ credentials: none }))
    expect(data(plan)).toBe(encoded(KEY))
    expect(managedOf(observed({ credentials: none }))?.key).toEqual({ current: KEY })
    expect([plan, decide(observed())].flatMap(({ events }) => events.map(({ reason }) => reason))).not.toContain(
      'KeyRotated',
    )
  })

  it('a key that is another than its Secret has is written, told to the manager, and an event without it', () => {
    const key = { current: 'another-key', previous: KEY }
    const plan = decide(observed({ key }))
    expect(managedOf(observed({ key }))?.key).toBe(key)
    expect(plan.apply[0]?.manifest).toMatchObject({
      data: { authorization: btoa('another-key'), 'previous-authorization': btoa(KEY) },
    })
    expect(plan.events).toMatchObject([{ type: 'Normal', reason: 'KeyRotated' }, { reason: 'AllShardsReady' }])
    expect(JSON.stringify(plan.events)).not.toContain(KEY)
    expect(JSON.stringify(plan.events)).not.toContain('another-key')
  })

  it('the sets of another number go only when the present one is Ready', () => {
    const both = { statefulSets: [set(2, 4), set(2, 8)], pods: [pod(0), pod(1), pod(0, 'running', 4)] }
    const old = decide(observed({ ...both, fleet: fleet(4, 2) }))
    const starting = decide(observed({ ...both, fleet: fleet(8, 2, { ready: 7 }) }))
    const ready = decide(observed(both))
    expect([old.remove, starting.remove]).toEqual([[], []])
    expect(ready.remove).toMatchObject([{ name: 'bot-4', uid: 'uid-of-set-4' }])
    const deleting = { ...set(2, 4), metadata: { ...set(2, 4).metadata, deletionTimestamp: 'now' } }
    expect(decide(observed({ ...both, statefulSets: [deleting, set(2)] })).remove).toEqual([])
    expect(decide(observed({ ...both, credentials: missing('SecretNotFound') })).status.readyShards).toBe(8)
  })

  it('what the manager of another number of shards says is not about this one', () => {
    const plan = decide(observed({ fleet: fleet(4, 2, { ready: 8 }), empty: new Set([2, 3]), statefulSets: [set(4)] }))
    expect(plan.status).toMatchObject({ readyShards: 0, totalShards: 8 })
    expect(condition(plan, 'Ready')).toMatchObject({ status: 'False' })
    expect(replicas(plan)).toBe(4)
  })

  it('a refused child is said, and does not keep the rest from being tried', () => {
    const refused = { reason: 'ApplyFailed' as const, message: 'tolerations' }
    const plan = decide(observed({ refused }))
    expect(condition(plan, 'Stalled')).toMatchObject({ status: 'True', ...refused })
    expect(plan.events).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'ApplyFailed' }))
    expect(kinds(plan)).toContain('StatefulSet')
    expect(plan.requeue).toBeDefined()
  })
})

describe('a new leader', () => {
  const ready = decide(observed())
  const unheard = { settling: true, fleet: fleet(8, 2, { ready: 0 }) }

  it('does not take back a Ready before the workers have been heard', () => {
    for (const change of [unheard, { settling: true, fleet: undefined }]) {
      const plan = decide(afterwards(ready, change))
      expect(plan.status).toEqual(ready.status)
      expect(plan.events).toEqual([])
      expect(plan.requeue).toBeDefined()
    }
  })

  it('says what it sees as soon as it has heard them, and what needs no hearing at once', () => {
    expect(condition(decide(afterwards(ready, { ...unheard, settling: false })), 'Ready')?.status).toBe('False')
    const secretGone = decide(afterwards(ready, { ...unheard, credentials: missing('SecretNotFound') }))
    expect(condition(secretGone, 'Stalled')?.status).toBe('True')
    const changed = cluster()
    changed.metadata.generation = 4
    expect(decide(afterwards(ready, { ...unheard, cluster: changed })).status.observedGeneration).toBe(4)
  })
})

describe('replicas', () => {
  const scaled = (wanted: number, change: Partial<Observed> = {}) =>
    observed({ cluster: cluster({ totalWorkers: wanted }), pods: [0, 1, 2, 3].map((k) => pod(k)), ...change })

  it.each([
    ['grow at once', scaled(4, { pods: [pod(0)] }), 1, 4],
    ['stay while the surplus holds shards', scaled(2), 4, 4],
    ['step down past what is empty', scaled(2, { empty: new Set([3]) }), 4, 3],
    ['reach what is wanted when all of it is empty', scaled(2, { empty: new Set([2, 3]) }), 4, 2],
    ['never go below what is wanted, empty or not', scaled(2, { empty: new Set([0, 1, 2, 3]) }), 4, 2],
    ['stop at the highest that holds shards', scaled(1, { empty: new Set([1, 2]) }), 4, 4],
    ['step down past pods that are not there', scaled(2, { pods: [pod(0), pod(1), pod(2)] }), 4, 3],
    [
      'step down past pods that do not run',
      scaled(2, { pods: [pod(0), pod(1), pod(2, 'waiting'), pod(3, 'none')] }),
      4,
      2,
    ],
    ['never go down before a manager looked', scaled(2, { fleet: undefined, empty: new Set([2, 3]) }), 4, 4],
  ])('%s', (_, seen, current, expected) => {
    expect(replicasOf(seen, current)).toBe(expected)
  })

  it('never drop a pod that holds shards, whatever is empty, missing or wanted', () => {
    const world = fc.record({
      wanted: fc.integer({ min: 1, max: 12 }),
      current: fc.integer({ min: 0, max: 12 }),
      states: fc.array(fc.constantFrom('holding', 'empty', 'waiting', 'absent'), { minLength: 12, maxLength: 12 }),
      managed: fc.boolean(),
    })
    fc.assert(
      fc.property(world, ({ wanted, current, states, managed }) => {
        const there = states.flatMap((state, k) => {
          if (state === 'absent' || k >= current) return []
          return [pod(k, state === 'waiting' ? 'waiting' : 'running')]
        })
        const empty = new Set(states.flatMap((state, k) => (state === 'empty' ? [k] : [])))
        const seen = scaled(wanted, { pods: there, empty, fleet: managed ? fleet(8, wanted) : undefined })
        const next = replicasOf(seen, current)
        expect(next).toBeGreaterThanOrEqual(wanted)
        expect(next).toBeLessThanOrEqual(Math.max(wanted, current))
        for (let k = next; k < current; k++) expect(states[k]).not.toBe('holding')
        if (!managed) expect(next).toBe(Math.max(wanted, current))
        // Nothing is kept for nothing: the last one that stays beyond what is wanted holds shards.
        if (managed && next > wanted) expect(states[next - 1]).toBe('holding')
      }),
    )
  })
})

describe('any observation', () => {
  const worlds = fc.record({
    totalShards: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    totalWorkers: fc.integer({ min: 1, max: 6 }),
    ready: fc.integer({ min: 0, max: 40 }),
    pods: fc.array(
      fc.record({ ordinal: fc.integer({ min: 0, max: 9 }), total: fc.constantFrom(8, 16), runs: fc.boolean() }),
    ),
    secret: fc.boolean(),
    known: fc.option(fc.constantFrom(8, 16), { nil: undefined }),
    managed: fc.boolean(),
    settling: fc.boolean(),
  })
  const seenIn = (world: typeof worlds extends fc.Arbitrary<infer W> ? W : never): Observed => {
    const { totalShards, totalWorkers, ready, known } = world
    const { totalShards: _, ...spec } = cluster().spec
    const given = { ...spec, totalWorkers, ...(totalShards !== undefined && { totalShards }) }
    return observed({
      cluster: shardClusterSchema.parse({ ...cluster(), spec: given }),
      status: known === undefined ? {} : { totalShards: known },
      pods: world.pods.map(({ ordinal, total, runs }) => pod(ordinal, runs ? 'running' : 'waiting', total)),
      statefulSets: [set(4), set(3, 16)],
      fleet: world.managed ? fleet(totalShards ?? known, totalWorkers, { ready }) : undefined,
      settling: world.settling,
      ...(!world.secret && { credentials: missing('SecretNotFound') }),
    })
  }

  it('gives the same plan each time, a status that the CRD takes, and no second event for the same', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const seen = seenIn(world)
        const plan = decide(seen)
        expect(decide(structuredClone(seen))).toEqual(plan)
        expect(statusSchema.parse(plan.status)).toEqual(plan.status)
        expect(plan.status.workerStatuses?.length).toBeLessThanOrEqual(world.totalWorkers)
        const again = decide({ ...seen, status: plan.status })
        expect(again.events).toEqual([])
        expect(again.status).toEqual(plan.status)
      }),
    )
  })
})

describe('the status', () => {
  it('has a row for each worker, not for each shard, and stays far below what etcd takes', () => {
    const totalWorkers = 1_000
    const big = cluster({ totalShards: 100_000, totalWorkers })
    const pods = Array.from({ length: totalWorkers }, (_, ordinal) => pod(ordinal, 'waiting', 100_000))
    const { status } = decide(observed({ cluster: big, pods, statefulSets: [], fleet: fleet(100_000, totalWorkers) }))
    expect(status.workerStatuses).toHaveLength(totalWorkers)
    expect(JSON.stringify(status).length).toBeLessThan(500_000)
  })

  it('counts a worker as ready when its whole range is, and it has a pod', () => {
    const idle = cluster({ totalShards: 1, totalWorkers: 3 })
    const plan = decide(
      observed({ cluster: idle, pods: [pod(0, 'running', 1), pod(1, 'running', 1)], fleet: fleet(1, 3) }),
    )
    expect(plan.status).toMatchObject({ readyWorkers: 2, workers: 2, shards: '1/1' })
  })

  it('says what a worker waits for, in the words of whom it waits for', () => {
    const silent = fleet(8, 3, { ready: 0 })
    const workers = silent.workers.map((worker) => ({ ...worker, connected: false, message: 'could not be reached' }))
    const seen = observed({
      cluster: cluster({ totalWorkers: 3 }),
      pods: [pod(0), pod(1, 'waiting')],
      fleet: { ...silent, workers },
    })
    expect(decide(seen).status.workerStatuses?.map(({ message }) => message)).toEqual([
      'could not be reached',
      'pod bot-8-1: ImagePullBackOff',
      'it has no pod yet',
    ])
  })
  it('shows of a worker that leaves how many shards have still to move, and no range', () => {
    const three = fleet(8, 2)
    const row = (held: number, connected = true) => {
      const third = { ...fleet(8, 3).workers[2], ready: 0, held, connected, message: 'connect ECONNREFUSED' }
      const seen = observed({ pods: [pod(0), pod(1), pod(2)], statefulSets: [set(3)] })
      const { status } = decide({ ...seen, fleet: { ...three, workers: [...three.workers, third as never] } })
      return status.workerStatuses?.[2]
    }
    expect([row(2), row(1), row(0), row(2, false)]).toEqual([
      { ordinal: 2, pod: 'bot-8-2', ready: 0, message: 'it leaves: 2 shards have still to move to other workers' },
      { ordinal: 2, pod: 'bot-8-2', ready: 0, message: 'it leaves: 1 shard has still to move to other workers' },
      { ordinal: 2, pod: 'bot-8-2', ready: 0, message: 'it leaves: its shards have moved' },
      { ordinal: 2, pod: 'bot-8-2', ready: 0, message: 'it leaves, and does not answer: connect ECONNREFUSED' },
    ])
  })

  it('says which image the workers are made of, as the StatefulSet has it', () => {
    expect(decide(observed({})).status.workerImage).toBe('shardcluster:test')
    expect(decide(observed({ ...fresh })).status).not.toHaveProperty('workerImage')
  })

  it('is not done before the StatefulSet is what was asked for, and its controller has looked at that', () => {
    const progress = (change: Partial<Observed>) => condition(decide(observed(change)), 'Reconciling')
    expect(progress({})).toMatchObject({ status: 'False', reason: 'AsExpected' })
    const taken = set(2)
    for (const change of [
      { cluster: cluster({ worker: { podAnnotations: { rolled: 'once' } } }) },
      { statefulSets: [set(1)] },
      { statefulSets: [{ ...taken, metadata: { ...taken.metadata, generation: 2 } }] },
    ])
      expect(progress(change), JSON.stringify(change)).toMatchObject({ status: 'True', reason: 'WaitingForWorkers' })
  })
})
