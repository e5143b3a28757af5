import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { secrets, statefulSets } from '../../../operator/kube/resources.ts'
import { readSessionsSecret } from '../../../operator/manifests/sessions-secret.ts'
import type { SecretObject } from '../../../operator/reconcile/objects.ts'
import { grantRights, type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { type Bot, eventually, type OperatorWorld, startOperatorWorld } from './world.ts'

let world: OperatorWorld
let first: OperatorProcess
let second: OperatorProcess | undefined
let bot: Bot
/** Their worker 1 was killed while they are scaled from 2 to 4: it comes back, and it does not. */
let away: Bot
let lost: Bot
let comeBack: () => void
let lostAt: number
beforeAll(async () => {
  world = await startOperatorWorld()
  await grantRights(world.server)
  first = await startOperatorProcess(world.server, 'first')
  bot = await world.bot()
  away = await world.bot()
  lost = await world.bot()
  for (const { secret, create } of [bot, away, lost]) {
    await secret()
    await create((spec) => {
      spec['sessions'] = { saveIntervalSeconds: 0 }
    })
  }
  for (const { wait } of [bot, away, lost]) await wait('Ready')
  comeBack = await world.kubelet.kill(`${away.namespace}/bot-8-1`)
  await world.kubelet.kill(`${lost.namespace}/bot-8-1`)
  lostAt = performance.now()
  for (const { kubectl } of [away, lost]) await kubectl('scale', 'shc/bot', '--replicas=4')
  await eventually(async () => {
    for (const one of [away, lost]) expect(await one.held()).toEqual(STILL)
  })
})
afterAll(async () => {
  await first?.crash()
  await second?.crash()
  await world?.close()
})

/** What workers 0, 2 and 3 hold while worker 1 is away. */
const STILL = [[0, 1, 2, 3], [], []]

const secretOf = (ordinal: number) => bot.child<SecretObject>(secrets, `bot-8-sessions-${ordinal}`)
const ids = new Set<string>()
/** What the Secret of a worker says. */
async function saved(ordinal: number) {
  const found = await readSessionsSecret((await secretOf(ordinal))?.data, 8)
  for (const { sessionId } of found?.sessions ?? []) ids.add(sessionId)
  const sessions = found?.sessions.map(({ shardId, connected }) => `${shardId} ${connected ? 'live' : 'ended'}`)
  return { savedAt: found?.savedAt ?? 0, sessions: sessions?.sort() }
}
/** Calls to the API server so far, by their method. */
async function calls() {
  const counts = { GET: 0, POST: 0, PATCH: 0, DELETE: 0, PUT: 0 }
  for (const [labels, count] of await first.metric('rest_client_requests_total'))
    for (const method of Object.keys(counts) as (keyof typeof counts)[])
      if (labels.includes(`method="${method}"`)) counts[method] += count
  return counts
}
/** Until what was set off before is over: three seconds without a call but for the Lease. */
const quiet = () =>
  eventually(async () => {
    const before = await calls()
    await delay(3_000)
    expect({ ...(await calls()), PUT: 0 }).toEqual({ ...before, PUT: 0 })
  })
const worker = (ordinal: number) => world.kubelet.workers.get(`${bot.namespace}/bot-8-${ordinal}`)
const ready = () =>
  eventually(async () => {
    expect(await bot.held()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
    expect(bot.discord()).toMatchObject({ connectedShards: 8 })
  })

describe('a steady state', () => {
  it('costs no call but watches and the Lease, whatever workers say, also with containers that are away', async () => {
    await quiet()
    const { savedAt } = await saved(0)
    const reconciles = async () =>
      (await first.metric('controller_runtime_reconcile_time_seconds_count')).values().next().value ?? 0
    const [before, looks] = [await calls(), await reconciles()]
    const since = performance.now()
    for (let seconds = 0; seconds < 20; seconds++) {
      for (const one of world.kubelet.workers.values()) one.report(one.sinks)
      await delay(1_000)
    }
    const after = await calls()
    expect({ ...after, PUT: 0 }).toEqual({ ...before, PUT: 0 })
    expect(await reconciles()).toBeGreaterThan(looks + 10)
    // The Lease is renewed every 2 s: 11 times at most, or by as much more as the seconds were late.
    expect(after.PUT - before.PUT).toBeGreaterThan(0)
    expect(after.PUT - before.PUT).toBeLessThanOrEqual(Math.ceil((performance.now() - since) / 2_000))
    expect((await saved(0)).savedAt).toBe(savedAt)
  }, 90_000)

  it('with a pace costs one write a worker and interval, and nothing else', async () => {
    const pace = (seconds: number) =>
      bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', `{"spec":{"sessions":{"saveIntervalSeconds":${seconds}}}}`)
    const pacedAt = Date.now()
    await pace(3)
    const times = [new Set<number>(), new Set<number>()]
    const sampled = (rounds: number) =>
      eventually(async () => {
        for (const [ordinal, seen] of times.entries()) {
          const { savedAt } = await saved(ordinal)
          if (savedAt > pacedAt) seen.add(savedAt)
        }
        for (const seen of times) expect(seen.size).toBeGreaterThanOrEqual(rounds)
      })
    await sampled(1)
    const before = await calls()
    await sampled(5)
    const after = await calls()
    expect({ ...after, PUT: 0 }).toEqual({ ...before, PUT: 0, PATCH: before.PATCH + 2 * 4 })
    for (const seen of times) {
      const all = [...seen]
      for (const [index, time] of all.slice(1).entries()) {
        expect(time - (all[index] ?? 0)).toBeGreaterThan(2_500)
        expect(time - (all[index] ?? 0)).toBeLessThan(5_000)
      }
    }
    await pace(0)
    await quiet()
  }, 90_000)
})

describe('the Secret with the sessions of a worker', () => {
  it('belongs to the ShardCluster, bears its labels, and holds what the worker does', async () => {
    const { metadata } = await bot.get()
    for (const [ordinal, sessions] of [
      ['0 live', '1 live', '2 live', '3 live'],
      ['4 live', '5 live', '6 live', '7 live'],
    ].entries()) {
      const secret = await secretOf(ordinal)
      expect(secret?.metadata.ownerReferences).toEqual([
        {
          ...{ apiVersion: 'shardcluster.dev/v1alpha1', kind: 'ShardCluster', name: 'bot', uid: metadata.uid },
          ...{ controller: true, blockOwnerDeletion: true },
        },
      ])
      expect(secret?.metadata.labels).toEqual({
        'app.kubernetes.io/managed-by': 'shardcluster-operator',
        'app.kubernetes.io/name': 'shardcluster',
        'app.kubernetes.io/component': 'sharder',
        'app.kubernetes.io/instance': 'bot',
        'shardcluster.dev/cluster': 'bot',
        'shardcluster.dev/total-shards': '8',
      })
      expect((await saved(ordinal)).sessions).toEqual(sessions)
    }
  })

  it('is written when the worker drains, with what it said last', async () => {
    const { identifies, resumes } = bot.discord()
    const { savedAt } = await saved(0)
    const before = worker(0)
    await before?.drain()
    await eventually(async () => {
      const now = await saved(0)
      expect(now.savedAt).toBeGreaterThan(savedAt)
      expect(now.sessions).toEqual(['0 ended', '1 ended', '2 ended', '3 ended'])
    })
    await bot.kubectl('delete', 'pod/bot-8-0', '--wait=false')
    await eventually(() => expect(worker(0)).not.toBe(before))
    await ready()
    expect(bot.discord()).toMatchObject({ identifies, resumes: resumes + 4, resumesRefused: 0 })
  })
})

describe('a rollout', () => {
  it('shows in status.updatedWorkers, and in the column', async () => {
    await bot.wait('Ready')
    const { identifies } = bot.discord()
    const patch = '{"spec":{"worker":{"image":"shardcluster:next"}}}'
    await bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', patch)
    const seen = new Set<number | undefined>()
    await eventually(async () => {
      const { status } = await bot.get()
      const progressing = status?.conditions?.find(({ type }) => type === 'Progressing')
      if (progressing?.reason === 'RollingOut') seen.add(status?.updatedWorkers)
      const images = await bot.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[0].image}')
      expect(images).toBe('shardcluster:next shardcluster:next')
      expect(status).toMatchObject({ updatedWorkers: 2, readyShards: 8 })
    })
    expect([...seen].sort()).toEqual([0, 1])
    expect(await bot.kubectl('get', 'shc')).toMatch(/NEW.*\n.*bot\s/)
    await ready()
    expect(bot.discord()).toMatchObject({ identifies, resumesRefused: 0, violationDetails: [] })
  })
})

describe('a container that is away', () => {
  it('keeps its shards; when it is back they go on where they belong, without an IDENTIFY', async () => {
    expect(await away.held()).toEqual(STILL)
    expect(away.discord()).toMatchObject({ identifies: 8, connectedShards: 4 })
    const { resumes } = away.discord()
    comeBack()
    await eventually(async () =>
      expect(await away.held()).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ]),
    )
    await eventually(() => expect(away.discord().connectedShards).toBe(8))
    expect(away.discord()).toMatchObject({ identifies: 8, resumesRefused: 0, violationDetails: [] })
    expect(away.discord().resumes).toBe(resumes + 4 + 2)
  })

  it('for longer than a session lives holds nothing any more: its shards start anew elsewhere', async () => {
    const heldUntil = async () => {
      while (JSON.stringify(await lost.held()) === JSON.stringify(STILL)) {
        expect(performance.now() - lostAt).toBeLessThan(150_000)
        await delay(100)
      }
      return performance.now() - lostAt
    }
    expect(await heldUntil()).toBeGreaterThan(100_000)
    await eventually(async () =>
      expect(await lost.held()).toEqual([
        [0, 1, 2, 3],
        [4, 5],
        [6, 7],
      ]),
    )
    await eventually(() => expect(lost.discord()).toMatchObject({ identifies: 12, connectedShards: 8 }))
    expect(lost.discord().violationDetails).toEqual([])
  }, 200_000)
})

describe('a leader that ends in good order while a pod is away', () => {
  it('leaves its sessions to the next one, which gives them to the new pod', async () => {
    const { identifies, resumes } = bot.discord()
    world.kubelet.unschedulable = (name) => name === 'bot-8-1'
    await bot.kubectl('delete', 'secret/bot-8-sessions-1')
    await bot.kubectl('delete', 'pod/bot-8-1', '--wait=false')
    await eventually(async () =>
      expect((await bot.get()).status?.workerStatuses?.[1]?.message).toMatch(/nodes are available/),
    )
    await first.stop()
    expect((await saved(1)).sessions).toEqual(['4 ended', '5 ended', '6 ended', '7 ended'])
    expect((await saved(0)).sessions).toEqual(['0 live', '1 live', '2 live', '3 live'])
    second = await startOperatorProcess(world.server, 'second')
    world.kubelet.unschedulable = () => false
    await ready()
    expect(bot.discord()).toMatchObject({ identifies, resumes: resumes + 4, resumesRefused: 0, violationDetails: [] })
    await bot.wait('Ready')
  })
})

describe('the rights that the chart gives the operator', () => {
  it('are enough for all of it, another number of shards included', async () => {
    await bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', '{"spec":{"totalShards":12}}')
    await eventually(async () => expect(await bot.child(statefulSets, 'bot-8')).toBeUndefined())
    await bot.wait('Ready')
    for (const log of [first.log(), second?.log()]) expect(log).not.toMatch(/forbidden/i)
    // They are not more than they say.
    const may = (verb: string, what: string) =>
      world.server.kubectl(['auth', 'can-i', verb, what, '-A', '--as=operator']).catch(() => 'no')
    expect((await may('watch', 'pods')).trim()).toBe('yes')
    for (const [verb, what] of [
      ['list', 'secrets'],
      ['delete', 'secrets'],
      ['create', 'pods'],
      ['get', 'nodes'],
    ] as const)
      expect(await may(verb, what)).toBe('no')
  })
})

describe('session ids, tokens and keys', () => {
  it('are in no log, no status and no event', async () => {
    const shown = await world.server.kubectl(['get', 'shc,events,pods,statefulsets', '-A', '-o', 'json'])
    const texts = { first: first.log(), second: second?.log() ?? '', shown }
    // All of it is about them, and says everything that it ever says.
    expect(texts.first).toContain('assigned shards')
    expect(texts.second).toContain('read saved sessions')
    expect(texts.shown).toContain('readyShards')
    const key = (await bot.child<SecretObject>(secrets, 'bot-sharder-key'))?.data?.['authorization'] ?? ''
    expect(ids.size).toBeGreaterThanOrEqual(8)
    const values = [...ids, bot.token, away.token, lost.token, Buffer.from(key, 'base64').toString(), key]
    for (const value of values) {
      expect(value.length).toBeGreaterThan(8)
      for (const [where, text] of Object.entries(texts)) expect(text.includes(value), where).toBe(false)
    }
  })
})
