import { beforeEach, describe, expect, it } from 'vitest'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import type { ApiCall } from '../../../operator/kube/call.ts'
import { NotFoundError, UnavailableError } from '../../../operator/kube/errors.ts'
import { readSessionsSecret, type sessionsSecret } from '../../../operator/manifests/sessions-secret.ts'
import { secretSessionStore } from '../../../operator/reconcile/session-store.ts'
import type { ShardCluster } from '../../../src/api/shard-cluster.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aSession } from '../manager/a-link.ts'
import { cluster } from './world.ts'

type Secret = ReturnType<typeof sessionsSecret>

let clock: VirtualClock
let calls: ApiCall[]
let under: number
let most: number
let secrets: Map<string, Secret>
let failing: boolean
let unreadable: string[][]
beforeEach(() => {
  clock = new VirtualClock()
  calls = []
  under = most = 0
  secrets = new Map()
  failing = false
  unreadable = []
})

/** What the API server would say, a turn of the event loop later. */
const transport = {
  async request<T>(call: ApiCall): Promise<T> {
    calls.push(call)
    most = Math.max(most, ++under)
    await new Promise((resolve) => setImmediate(resolve))
    under--
    const name = call.path.split('/').at(-1) ?? ''
    if (failing) throw new UnavailableError({ call: name, message: 'down' })
    if (call.method === 'PATCH') secrets.set(name, call.body as Secret)
    const found = secrets.get(name)
    if (!found) throw new NotFoundError({ call: name, message: 'none' })
    return found as T
  },
  stream: () => Promise.reject(new Error('nothing is watched')),
}
const onUnreadable = (...what: string[]) => void unreadable.push(what)
const storeOf = (of: ShardCluster = cluster(), totalShards = 8) =>
  secretSessionStore({
    ...{ client: new ObjectClient(transport, 'test'), clock },
    ...{ cluster: () => of, totalShards: () => totalShards, onUnreadable },
  })
const saved = (shardId: number, connected = false) => ({ ...aSession(shardId, { totalShards: 8 }), connected })
const names = () => calls.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`)

describe('sessions in Secrets', () => {
  it('are written by one apply to the Secret of their worker, and read again as old as they are', async () => {
    const store = storeOf()
    await store.load()
    calls.length = 0
    await store.save(1, [saved(4), saved(5, true)])
    expect(names()).toEqual(['PATCH bot-8-sessions-1'])
    expect(calls[0]?.path).toBe('/api/v1/namespaces/prod/secrets/bot-8-sessions-1')
    await clock.advance(400_000)
    const found = await store.load()
    // One that was connected may have been so until just before the next save, a minute later.
    expect(found.map(({ shardId, lastContactMsAgo }) => [shardId, lastContactMsAgo])).toEqual([
      [4, 400_000],
      [5, 340_000],
    ])
    expect(JSON.stringify(found)).not.toContain('connected')
  })

  it('are read by name, each worker once: those that are wanted, and those that status still shows', async () => {
    const row = (ordinal: number) => ({ ordinal, first: 0, last: 0, ready: 0 })
    const scaled = { ...cluster(), status: { workerStatuses: [row(0), row(1), row(2)] } } as ShardCluster
    await storeOf().save(0, [saved(0)])
    await storeOf().save(2, [saved(7)])
    calls = []
    expect((await storeOf(scaled).load()).map(({ shardId }) => shardId)).toEqual([0, 7])
    expect(names()).toEqual([0, 1, 2].map((ordinal) => `GET bot-8-sessions-${ordinal}`))
  })

  it('are read eight workers at a time', async () => {
    await storeOf(cluster({ totalWorkers: 20, totalShards: 20 }), 20).load()
    expect(calls).toHaveLength(20)
    expect(most).toBe(8)
  })

  it('of a Secret that nobody can read are none, and the others count', async () => {
    await storeOf().save(0, [saved(0)])
    await storeOf().save(1, [saved(5)])
    const spoilt = secrets.get('bot-8-sessions-0') as Secret
    secrets.set('bot-8-sessions-0', { ...spoilt, data: { 'sessions.json.gz': 'c3BvaWx0' } })
    expect((await storeOf().load()).map(({ shardId }) => shardId)).toEqual([5])
    expect(unreadable).toEqual([['bot-8-sessions-0', 'not gzip']])
  })

  it('are not looked for, nor written, before the number of shards is known', async () => {
    const unknown = secretSessionStore({
      ...{ client: new ObjectClient(transport, 'test'), clock },
      ...{ cluster: () => cluster(), totalShards: () => undefined, onUnreadable },
    })
    await unknown.save(0, [saved(0)])
    expect(await unknown.load()).toEqual([])
    expect(calls).toEqual([])
  })

  it('that were saved by a clock that runs ahead are as old as they were then', async () => {
    const store = storeOf()
    await store.save(0, [saved(0)])
    clock.setWall(clock.date().getTime() - 3_600_000)
    expect((await store.load())[0]?.lastContactMsAgo).toBe(0)
  })

  it('are not there when the API server is not: whoever asks is told', async () => {
    failing = true
    await expect(storeOf().load()).rejects.toThrow('down')
    await expect(storeOf().save(0, [saved(0)])).rejects.toThrow('down')
  })

  it('that more than one Secret has are one a shard: the better of them', async () => {
    const store = storeOf()
    await store.save(0, [{ ...saved(0), sequence: 7 }])
    await store.save(1, [{ ...saved(0), sequence: 9 }, saved(5)])
    expect((await store.load()).map(({ shardId, sequence }) => [shardId, sequence])).toEqual([
      [0, 9],
      [5, 1],
    ])
  })

  it('leave the operator only inside the Secret', async () => {
    await storeOf().save(0, [saved(0)])
    const [, call] = calls as [ApiCall, ApiCall]
    const { data, ...rest } = call.body as Secret
    expect((await readSessionsSecret(data, 8))?.sessions[0]?.sessionId).toBe('s0')
    expect(JSON.stringify({ ...call, body: rest })).not.toContain('"s0"')
  })

  it('of somebody else are neither used nor written over', async () => {
    const theirs = {
      metadata: { name: 'bot-8-sessions-0', namespace: 'prod', labels: { app: 'other' } },
      data: { a: 'b' },
    }
    secrets.set('bot-8-sessions-0', theirs as never)
    const store = storeOf()
    expect(await store.load()).toEqual([])
    expect(unreadable).toEqual([['bot-8-sessions-0', 'it belongs to nobody that this operator knows']])
    await expect(store.save(0, [saved(0)])).rejects.toThrow('The Secret bot-8-sessions-0')
    expect(secrets.get('bot-8-sessions-0')).toBe(theirs)
    await store.save(1, [saved(4)])
    expect(names().at(-1)).toBe('PATCH bot-8-sessions-1')
  })
})
