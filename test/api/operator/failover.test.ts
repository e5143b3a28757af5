import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { leases } from '../../../operator/kube/resources.ts'
import { epochOf, termOf } from '../../../src/domain/epoch.ts'
import { isWrite, type Replica } from './replica.ts'
import { type Succession, TwoReplicas } from './two-replicas.ts'
import { eventually } from './world.ts'

const WATCHED = ['poddisruptionbudgets', 'pods', 'services', 'shardclusters', 'statefulsets']

let all: TwoReplicas
const took: Record<string, Succession> = {}
beforeAll(async () => {
  all = await TwoReplicas.start()
}, 240_000)
afterAll(async () => {
  if (Object.keys(took).length > 0) console.table(took)
  await all?.close()
}, 120_000)

const watchedBy = ({ api }: Replica) =>
  api
    .watches()
    .map(({ seen }) => seen.resource)
    .sort()
/** What the kubelet would be told. */
const probes = ({ url }: Replica) =>
  Promise.all(['/healthz', '/readyz'].map(async (path) => (await fetch(url + path)).status))
const leads = async ({ metric }: Pick<Replica, 'metric'>) =>
  [...(await metric('leader_election_master_status')).values()][0] === 1

describe('two operators', () => {
  it('ask for nothing in a quiet half minute: the leader renews the Lease, the other one reads it', async () => {
    const [first, second] = [all.named('first'), all.named('second')]
    await eventually(async () => {
      const before = all.callsBesidesLease()
      await delay(3_000)
      expect(all.callsBesidesLease()).toBe(before)
    })
    const from = [first.calls.length, second.calls.length] as const
    const since = performance.now()
    await delay(30_000)
    const [leading, following] = [first.calls.slice(from[0]), second.calls.slice(from[1])]
    const kinds = (calls: Replica['calls']) => [
      ...new Set(calls.map(({ method, resource }) => `${method} ${resource}`)),
    ]
    expect(kinds(leading)).toEqual(['PUT leases'])
    expect(kinds(following)).toEqual(['GET leases'])
    // Every 2 s, and every 2 to 4.4 s.
    const most = Math.ceil((performance.now() - since) / 2_000) + 1
    expect(leading.length).toBeLessThanOrEqual(most)
    expect(following.length).toBeLessThanOrEqual(most)
    for (const one of [first, second]) {
      expect(watchedBy(one)).toEqual(WATCHED)
      expect(await probes(one)).toEqual([200, 200])
    }
  }, 120_000)

  it('take no notice of an API server that is away for three seconds', async () => {
    const before = { holder: await all.holder(), term: await all.term() }
    await away(async () => delay(3_000))
    for (const one of all.replicas) await eventually(() => expect(watchedBy(one)).toEqual(WATCHED))
    await all.scale(3)
    await all.scaledTo(3)
    await all.sound()
    expect({ holder: await all.holder(), term: await all.term() }).toEqual(before)
  }, 180_000)

  it('killed: the other one leads when the Lease has run out, and does what was asked meanwhile', async () => {
    const leader = await all.leader()
    await leader.crash()
    await all.scale(2)
    const { successor, took: times } = await all.succeeded(leader, 2)
    expect(successor.name).toBe('second')
    took['killed'] = times
    await all.replica('third')
  }, 240_000)

  it('frozen in the middle of its work: the other one finishes it; awake again, it changes nothing and ends', async () => {
    const leader = await all.leader()
    const oldTerm = await all.term()
    const seen = leader.calls.length
    await all.scale(4)
    // It has begun.
    await eventually(() => expect(leader.calls.slice(seen).some(isWrite)).toBe(true))
    leader.signal('SIGSTOP')
    const { successor, took: times } = await all.succeeded(leader, 4)
    took['frozen'] = times
    const term = await all.term()
    expect(term).toBeGreaterThan(oldTerm)
    await all.bot.wait('Progressing', 'False')
    const epochs = await all.epochs()
    expect(epochs.map(termOf)).toEqual([term, term, term, term])
    const { conditions } = (await all.bot.get()).status ?? {}

    const asleep = leader.calls.length
    leader.signal('SIGCONT')
    expect(await leader.exited).toBe(1)
    expect(leader.log()).toContain('the leader Lease was lost')
    expect(leader.calls.slice(asleep).filter(isWrite)).toEqual([])
    await all.scaledTo(4)
    expect((await all.epochs()).map(termOf)).toEqual([term, term, term, term])
    expect((await all.bot.get()).status?.conditions).toEqual(conditions)
    expect(await all.holder()).toBe(successor.name)
    await all.sound()
  }, 240_000)

  it('a command of the deposed one is refused by every sharder, whatever it is', async () => {
    const epoch = epochOf((await all.term()) - 1, 1_000_000)
    for (const worker of all.sharders()) {
      const before = await worker.held()
      for (const command of [
        { type: 'RELEASE_SHARDS', epoch, shardIds: before },
        { type: 'IDENTIFY_SHARD', epoch, shardId: before[0], slotInMs: 0 },
      ])
        expect(await worker.command(command)).toEqual({ status: 409, code: 'STALE_EPOCH' })
      expect(await worker.held()).toEqual(before)
    }
    await all.sound()
  })

  it('cut off from the API server but not from the workers: it stops before the other one begins', async () => {
    await all.replica('fourth')
    const leader = await all.leader()
    leader.line.blackHole()
    await all.scale(2)
    const { took: times } = await all.succeeded(leader, 2)
    took['cut off'] = times
    expect(await leader.exited).toBe(1)
    const { acquireTime = '' } = await all.lease()
    expect(leader.loggedAt('no longer leading')).toBeLessThan(Date.parse(acquireTime))
  }, 240_000)

  it('without an API server nobody leads, and no shard notices; whoever is there when it is back goes on', async () => {
    const follower = await all.replica('fifth')
    const leader = await all.leader()
    const epochs = await all.epochs()
    await away(async () => {
      expect(await leader.exited).toBe(1)
      await all.scale(3)
      // A restart would heal nothing, and cost the caches.
      expect(await probes(follower)).toEqual([200, 200])
      expect(await all.epochs()).toEqual(epochs)
      await all.sound()
    })
    const { successor, took: times } = await all.succeeded(leader, 3)
    expect(successor).toBe(follower)
    took['API server away for all'] = times
  }, 240_000)
})

/** Nobody of the operators reaches the API server; kubelets and users do. */
async function away(meanwhile: () => Promise<unknown>): Promise<void> {
  for (const { line } of all.replicas) {
    await line.refuse()
    line.cut()
  }
  await meanwhile()
  for (const { line } of all.replicas) await line.heal()
}

describe('two managers alive at once, through two Leases', () => {
  it('the one of the older term is refused by every sharder, and no shard is lost or held twice', async () => {
    const older = await all.leader()
    const term = (await all.term()) + 1_000
    await all.world.client.apply(leases, {
      metadata: { namespace: 'default', name: 'another' },
      ...{ spec: { leaseTransitions: term } },
    })
    const newer = await all.world.operator({ SHARDCLUSTER_LEASE_NAME: 'another', POD_NAME: 'newer' })
    await eventually(async () => expect(await leads(newer)).toBe(true))
    await eventually(async () => expect((await all.epochs()).map(termOf)).toEqual(Array(3).fill(term + 1)))
    await all.scale(4)
    await all.scaledTo(4)
    await eventually(() => expect(older.log()).toContain('STALE_EPOCH'))
    expect([await leads(older), await leads(newer)]).toEqual([true, true])
    expect((await all.epochs()).map(termOf)).toEqual(Array(4).fill(term + 1))
    await all.sound()
  }, 180_000)
})
