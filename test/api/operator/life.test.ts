import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  podDisruptionBudgets,
  type Resource,
  secrets,
  services,
  shardClusters,
  statefulSets,
} from '../../../operator/kube/resources.ts'
import { CONDITION_TYPES } from '../../../src/api/conditions.ts'
import type { Json } from '../crd-server.ts'
import { type Bot, eventually, type Operator, type OperatorWorld, startOperatorWorld, startReadyBot } from './world.ts'

interface SetSpec {
  readonly spec: { readonly replicas: number; readonly template: Json; readonly serviceName: string }
  readonly metadata: { readonly generation: number }
}

let world: OperatorWorld
let operator: Operator
let bot: Bot
beforeAll(async () => {
  world = await startOperatorWorld()
  ;({ operator, bot } = await startReadyBot(world))
})
afterAll(() => world?.close())

const CHILDREN: readonly (readonly [Resource, string])[] = [
  [secrets, 'bot-sharder-key'],
  [services, 'bot-sharders'],
  [podDisruptionBudgets, 'bot-sharders'],
  [statefulSets, 'bot-8'],
]
const set = async (name = 'bot-8') => {
  const found = await bot.child<SetSpec>(statefulSets, name)
  if (!found) throw new Error(`there is no StatefulSet ${name}`)
  return found
}

describe('a ShardCluster that is applied', () => {
  it('gets children that belong to it', async () => {
    const { metadata } = await bot.get()
    for (const [resource, name] of CHILDREN) {
      const child = await bot.child(resource, name)
      expect(child?.metadata.ownerReferences, name).toEqual([
        {
          apiVersion: 'shardcluster.dev/v1alpha1',
          kind: 'ShardCluster',
          name: 'bot',
          uid: metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ])
    }
  })

  it('has every shard connected on its worker, with one IDENTIFY each', async () => {
    expect(await bot.held()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
    expect(bot.discord()).toMatchObject({ identifies: 8, readies: 8, connectedShards: 8, violationDetails: [] })
  })

  it('says so in conditions, columns and events', async () => {
    const { status, metadata } = await bot.get()
    expect(status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`)).toEqual([
      'Ready True AllShardsReady',
      'Progressing False AsExpected',
      'Degraded False AsExpected',
      'Stalled False AsExpected',
      'Reconciling False AsExpected',
      'IdentifyBudgetAvailable True BudgetAvailable',
    ])
    expect(CONDITION_TYPES).toHaveLength(6)
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      workers: 2,
      readyWorkers: 2,
      totalShards: 8,
      readyShards: 8,
      shards: '8/8',
      workerImage: 'shardcluster:test',
      maxConcurrency: 16,
      workerStatuses: [
        { ordinal: 0, pod: 'bot-8-0', first: 0, last: 3, ready: 4 },
        { ordinal: 1, pod: 'bot-8-1', first: 4, last: 7, ready: 4 },
      ],
    })
    expect(await bot.kubectl('get', 'shc')).toMatch(/NAME\s.*READY.*\n.*bot\s.*8\/8/i)
    expect(await bot.kubectl('get', 'events')).toMatch(/Normal\s+AllShardsReady\s+shardcluster\/bot\s+All 8 shards/)
  })

  it('makes no call beyond watches and the Lease once it is Ready', async () => {
    const calls = async () => {
      const all = await operator.metric('rest_client_requests_total')
      const sum = (method: string) =>
        [...all]
          .filter(([labels]) => labels.includes(`method="${method}"`))
          .reduce((total, [, count]) => total + count, 0)
      return { GET: sum('GET'), POST: sum('POST'), PATCH: sum('PATCH'), DELETE: sum('DELETE'), PUT: sum('PUT') }
    }
    const reconciles = async () =>
      (await operator.metric('controller_runtime_reconcile_time_seconds_count')).values().next().value ?? 0
    // What the last status write set off is over when the workers' next reports have been looked at.
    const from = await reconciles()
    const [worker] = [...world.kubelet.workers.values()]
    for (let looks = 1; looks <= 2; looks++) {
      worker?.report(worker.sinks)
      await eventually(async () => expect(await reconciles()).toBeGreaterThanOrEqual(from + looks))
    }
    const before = await calls()
    for (let looks = 3; looks <= 6; looks++) {
      worker?.report(worker.sinks)
      await eventually(async () => expect(await reconciles()).toBeGreaterThanOrEqual(from + looks))
    }
    const after = await calls()
    expect({ ...after, PUT: 0 }).toEqual({ ...before, PUT: 0 })
    expect(after.PUT - before.PUT).toBeGreaterThan(0)
  })
})

describe('kubectl scale', () => {
  it('up: the set grows, shards move without an IDENTIFY, no pod that stays is touched', async () => {
    const before = await set()
    const pods = await bot.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}')
    await bot.kubectl('scale', 'shc/bot', '--replicas=4')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ]),
    )
    await bot.wait('Progressing', 'False')
    await bot.wait('Ready')
    const after = await set()
    expect(after.spec.replicas).toBe(4)
    expect(after.spec.template).toEqual(before.spec.template)
    const now = await bot.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}')
    expect(now.split(' ')).toEqual(expect.arrayContaining(pods.split(' ')))
    expect(bot.discord()).toMatchObject({ identifies: 8, resumesRefused: 0, connectedShards: 8, violationDetails: [] })
    expect(bot.discord().resumes).toBeGreaterThan(0)
  })

  it('down: a pod goes only after its shards moved, and none identifies', async () => {
    const { length } = world.kubelet.removed
    // Long enough for a kubelet that is told too early.
    for (const worker of world.kubelet.workers.values()) worker.flushMs = 1_000
    await bot.kubectl('scale', 'shc/bot', '--replicas=1')
    await eventually(async () => expect((await set()).spec.replicas).toBe(1))
    await eventually(async () => expect(await bot.held()).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]))
    expect(
      world.kubelet.removed
        .slice(length)
        .map(({ pod, held }) => `${pod}: ${held.length}`)
        .sort(),
    ).toEqual(['bot-8-1: 0', 'bot-8-2: 0', 'bot-8-3: 0'])
    await bot.wait('Ready')
    await eventually(async () => expect((await bot.get()).status?.workerStatuses).toHaveLength(1))
    expect(bot.discord()).toMatchObject({ identifies: 8, resumesRefused: 0, connectedShards: 8, violationDetails: [] })
  })

  it('down past workers that never found a node: they are not waited for', async () => {
    world.kubelet.unschedulable = (name) => name === 'bot-8-1' || name === 'bot-8-2'
    await bot.kubectl('scale', 'shc/bot', '--replicas=3')
    await eventually(async () => {
      const rows = (await bot.get()).status?.workerStatuses
      expect(rows?.[1]?.message).toMatch(/bot-8-1: 0\/3 nodes are available/)
    })
    await bot.kubectl('scale', 'shc/bot', '--replicas=1')
    await eventually(async () => expect((await set()).spec.replicas).toBe(1))
    world.kubelet.unschedulable = () => false
    await bot.kubectl('scale', 'shc/bot', '--replicas=2')
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]),
    )
    await bot.wait('Ready')
    expect(bot.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  })
})

describe('what somebody else does to its children', () => {
  it('is undone', async () => {
    await bot.kubectl('delete', 'service/bot-sharders', 'pdb/bot-sharders', '--wait=false')
    await bot.kubectl(
      'patch',
      'sts/bot-8',
      '--type=merge',
      '-p',
      '{"spec":{"replicas":0,"updateStrategy":{"type":"RollingUpdate"}}}',
    )
    await eventually(async () => {
      expect(await bot.child(services, 'bot-sharders')).toBeDefined()
      expect(await bot.child(podDisruptionBudgets, 'bot-sharders')).toBeDefined()
      expect((await set()).spec).toMatchObject({ replicas: 2, updateStrategy: { type: 'OnDelete' } })
    })
  })

  it('is undone where no generation tells: the selector of the Service, an owner that was taken away', async () => {
    await bot.kubectl(
      'patch',
      'service/bot-sharders',
      '--type=merge',
      '-p',
      '{"spec":{"publishNotReadyAddresses":false}}',
    )
    await bot.kubectl('patch', 'pdb/bot-sharders', '--type=merge', '-p', '{"metadata":{"ownerReferences":null}}')
    await eventually(async () => {
      const service = await bot.child<{ spec: Json }>(services, 'bot-sharders')
      expect(service?.spec['publishNotReadyAddresses']).toBe(true)
      expect((await bot.child(podDisruptionBudgets, 'bot-sharders'))?.metadata.ownerReferences).toHaveLength(1)
    })
  })

  it('is undone, for the key, with the very same key when the Secrets are next read: workers that run have it', async () => {
    const keyOf = async () => (await bot.child<{ data: Json }>(secrets, 'bot-sharder-key'))?.data
    const before = await keyOf()
    expect(before).toBeDefined()
    await bot.kubectl('delete', 'secret/bot-sharder-key')
    await bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"identify":{"reserve":99}}}')
    await eventually(async () => expect(await keyOf()).toEqual(before))
  })

  it('costs no IDENTIFY when it is a pod', async () => {
    await eventually(async () =>
      expect(await bot.held()).toEqual([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]),
    )
    await bot.wait('Ready')
    const { identifies, resumes } = bot.discord()
    const before = world.kubelet.workers.get(`${bot.namespace}/bot-8-1`)
    await bot.kubectl('delete', 'pod/bot-8-1', '--wait=false')
    await eventually(async () => {
      const worker = world.kubelet.workers.get(`${bot.namespace}/bot-8-1`)
      expect(worker).not.toBe(before)
      expect(await worker?.held()).toEqual([4, 5, 6, 7])
    })
    await eventually(() => expect(bot.discord()).toMatchObject({ resumes: resumes + 4, connectedShards: 8 }))
    expect(bot.discord()).toMatchObject({ identifies, violationDetails: [] })
    await bot.wait('Ready')
  })
})

describe('another number of shards', () => {
  it('runs beside the old one until it is Ready', async () => {
    await bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"totalShards":12}}')
    // As Discord sees them, because the status is written a moment after the old set was deleted.
    const connected = () => {
      const { shards = {} } = world.simulator.stats({ detail: true }).bots.find(({ sessions }) => sessions > 0) ?? {}
      return Object.entries(shards).filter(([name, shard]) => name.endsWith('/12') && shard.connected).length
    }
    await eventually(async () => expect(await bot.child(statefulSets, 'bot-8')).toBeUndefined())
    expect(connected()).toBe(12)
    await bot.wait('Ready')
    expect((await bot.get()).status).toMatchObject({ totalShards: 12, shards: '12/12', workers: 2 })
    await eventually(async () => expect(await bot.held()).toHaveLength(2))
    await eventually(() => expect(bot.discord().connectedShards).toBe(12))
    expect(bot.discord().violationDetails).toEqual([])
  })
})

describe('a ShardCluster that is deleted', () => {
  it('is managed no more; what runs goes with its pods', async () => {
    const workers = [...world.kubelet.workers].filter(([key]) => key.startsWith(`${bot.namespace}/`))
    expect(workers.map(([, { watchers }]) => watchers)).toEqual([1, 1])
    await bot.kubectl('delete', 'shc/bot')
    await eventually(() => expect(workers.map(([, { watchers }]) => watchers)).toEqual([0, 0]))
    expect(await bot.child(shardClusters, 'bot')).toBeUndefined()
    expect(bot.discord().connectedShards).toBe(12)
  })
})
