import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Lease } from '../../../operator/kube/lease.ts'
import { leases } from '../../../operator/kube/resources.ts'
import { epochOf, termOf } from '../../../src/domain/epoch.ts'
import { grantRights, LEASE } from './operator-process.ts'
import { isLease, isWrite, type Replica, startReplica } from './replica.ts'
import { SharderProcess } from './sharder-process.ts'
import { type Bot, eventually, type OperatorWorld, startWorldOf } from './world.ts'

let world: OperatorWorld<SharderProcess>
let bot: Bot
let neighbour: Bot
const replicas: Replica[] = []
const took: Record<string, { 'seconds until the successor leads': number; 'until it has acted': number }> = {}

async function replica(name: string): Promise<Replica> {
  const started = await startReplica(world.server, name)
  replicas.push(started)
  await eventually(async () => expect(await started.metric('reflector_watches_total')).toHaveLength(5))
  return started
}

beforeAll(async () => {
  world = await startWorldOf((start) => SharderProcess.start(start))
  await grantRights(world.server)
  await replica('first')
  await eventually(async () => expect(await holder()).toBe('first'))
  await replica('second')
  bot = await world.bot()
  neighbour = await world.bot()
  for (const { secret, create } of [bot, neighbour]) {
    await secret()
    await create((spec) => {
      spec['sessions'] = { saveIntervalSeconds: 0 }
    })
  }
  for (const { wait } of [bot, neighbour]) await wait('Ready', 'True', 90)
}, 240_000)
afterAll(async () => {
  if (Object.keys(took).length > 0) console.table(took)
  for (const { close } of replicas) await close()
  await world?.close()
}, 120_000)

async function lease(): Promise<Lease['spec']> {
  return (
    (await world.client.get<Lease & { apiVersion: string }>(leases, { namespace: 'default', name: LEASE }))?.spec ?? {}
  )
}
/** The replica that holds the Lease. */
const holder = async () => (await lease()).holderIdentity?.replace(/_.*/, '')
const named = (name: string | undefined) => {
  const found = replicas.find((one) => one.name === name)
  if (!found) throw new Error(`no replica is called ${name}`)
  return found
}
const sharders = () =>
  [...world.kubelet.workers].filter(([key]) => key.startsWith(`${bot.namespace}/`)).map(([, worker]) => worker)
const epochs = () =>
  Promise.all(
    sharders().map(async (worker) => {
      const record = await worker.snapshot()
      return record.type === 'SNAPSHOT' ? record.epoch : 0
    }),
  )
const scale = (workers: number) => bot.kubectl('scale', 'shc/bot', `--replicas=${workers}`)
const HELD: Record<number, number[][]> = {
  2: [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ],
  3: [
    [0, 1],
    [2, 3, 4],
    [5, 6, 7],
  ],
  4: [
    [0, 1],
    [2, 3],
    [4, 5],
    [6, 7],
  ],
}
/** Nothing was lost, nothing held twice, and no session begun anew, by whomever. */
const sound = () => {
  for (const one of [bot, neighbour])
    expect(one.discord()).toMatchObject({ identifies: 8, connectedShards: 8, resumesRefused: 0, violationDetails: [] })
}

/** Somebody else leads, and has brought the bot to `workers` workers. */
async function succeeded(what: string, leader: Replica, workers: number): Promise<Replica> {
  const since = performance.now()
  await eventually(async () => expect([leader.name, '', undefined]).not.toContain(await holder()), 60_000)
  const led = performance.now() - since
  await eventually(async () => expect(await bot.held()).toEqual(HELD[workers]), 60_000)
  const inSeconds = (ms: number) => Math.round(ms / 100) / 10
  took[what] = {
    'seconds until the successor leads': inSeconds(led),
    'until it has acted': inSeconds(performance.now() - since),
  }
  await eventually(sound)
  return named(await holder())
}

describe('two operators', () => {
  it('ask for nothing in a quiet half minute: the leader renews the Lease, the other one reads it', async () => {
    const [first, second] = [named('first'), named('second')]
    const besides = () => [first, second].flatMap(({ calls }) => calls.filter((seen) => !isLease(seen))).length
    await eventually(async () => {
      const before = besides()
      await delay(3_000)
      expect(besides()).toBe(before)
    })
    const from = [first.calls.length, second.calls.length] as const
    await delay(30_000)
    const [leading, following] = [first.calls.slice(from[0]), second.calls.slice(from[1])]
    const kinds = (calls: Replica['calls']) => [
      ...new Set(calls.map(({ method, resource }) => `${method} ${resource}`)),
    ]
    expect(kinds(leading)).toEqual(['PUT leases'])
    expect(kinds(following)).toEqual(['GET leases'])
    // Every 2 s, and every 2 to 4.4 s.
    expect(leading.length).toBeLessThanOrEqual(16)
    expect(following.length).toBeLessThanOrEqual(16)
    for (const { api } of [first, second])
      expect(
        api
          .watches()
          .map(({ seen }) => seen.resource)
          .sort(),
      ).toEqual(['poddisruptionbudgets', 'pods', 'services', 'shardclusters', 'statefulsets'])
  }, 120_000)

  it('killed: the other one leads when the Lease has run out, and does what was asked meanwhile', async () => {
    const leader = named(await holder())
    await leader.crash()
    await scale(3)
    expect((await succeeded('killed', leader, 3)).name).toBe('second')
    await replica('third')
  }, 180_000)

  it('frozen in the middle of its work: the other one finishes it; awake again, it changes nothing and ends', async () => {
    const leader = named(await holder())
    const { leaseTransitions: oldTerm = 0 } = await lease()
    const seen = leader.calls.length
    await scale(4)
    // It has begun.
    await eventually(() => expect(leader.calls.slice(seen).some(isWrite)).toBe(true))
    leader.signal('SIGSTOP')
    const successor = await succeeded('frozen', leader, 4)
    const { leaseTransitions: term = 0 } = await lease()
    expect(term).toBeGreaterThan(oldTerm)
    await bot.wait('Progressing', 'False')
    const before = { held: await bot.held(), epochs: await epochs(), status: (await bot.get()).status }
    expect(before.epochs.map(termOf)).toEqual([term, term, term, term])

    const asleep = leader.calls.length
    leader.signal('SIGCONT')
    expect(await leader.exited).toBe(1)
    expect(leader.log()).toContain('the leader Lease was lost')
    expect(leader.calls.slice(asleep).filter(isWrite)).toEqual([])
    expect(await bot.held()).toEqual(before.held)
    expect((await epochs()).map(termOf)).toEqual([term, term, term, term])
    expect((await bot.get()).status?.conditions).toEqual(before.status?.conditions)
    expect((await lease()).holderIdentity).toContain(successor.name)
    sound()
  }, 240_000)

  it('a command of the deposed one is refused by every sharder, whatever it is', async () => {
    const { leaseTransitions: term = 0 } = await lease()
    const epoch = epochOf(term - 1, 1_000_000)
    for (const worker of sharders()) {
      const before = await worker.held()
      for (const command of [
        { type: 'RELEASE_SHARDS', epoch, shardIds: before },
        { type: 'IDENTIFY_SHARD', epoch, shardId: before[0], slotInMs: 0 },
      ])
        expect(await worker.command(command)).toEqual({ status: 409, code: 'STALE_EPOCH' })
      expect(await worker.held()).toEqual(before)
    }
    sound()
  })

  it('cut off from the API server but not from the workers: it stops before the other one begins', async () => {
    await replica('fourth')
    const leader = named(await holder())
    leader.line.blackHole()
    await scale(2)
    await succeeded('cut off', leader, 2)
    expect(await leader.exited).toBe(1)
    const { acquireTime = '' } = await lease()
    expect(leader.loggedAt('no longer leading')).toBeLessThan(Date.parse(acquireTime))
  }, 180_000)
})

describe('two managers alive at once, through two Leases', () => {
  it('the one of the older term is refused by every sharder, and no shard is lost or held twice', async () => {
    const older = named(await holder())
    const { leaseTransitions: term = 0 } = await lease()
    await world.client.apply(leases, {
      metadata: { namespace: 'default', name: 'another' },
      ...{ spec: { leaseTransitions: term + 1_000 } },
    })
    const newer = await world.operator({ SHARDCLUSTER_LEASE_NAME: 'another', POD_NAME: 'newer' })
    const leads = async (url: { metric: Replica['metric'] }) =>
      [...(await url.metric('leader_election_master_status')).values()][0]
    await eventually(async () => expect(await leads(newer)).toBe(1))
    await eventually(async () => expect((await epochs()).map(termOf)).toEqual([term + 1_001, term + 1_001]))
    await scale(4)
    await eventually(async () => expect(await bot.held()).toEqual(HELD[4]))
    await eventually(() => expect(older.log()).toContain('STALE_EPOCH'))
    expect([await leads(older), await leads(newer)]).toEqual([1, 1])
    expect((await epochs()).map(termOf)).toEqual(Array(4).fill(term + 1_001))
    await eventually(sound)
  }, 180_000)
})
