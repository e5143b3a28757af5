import { pino } from 'pino'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Candidate, Grant } from '../../../src/domain/identify-schedule.ts'
import type { IdentifyOutcome } from '../../../src/manager/identify-source.ts'
import type { LaneMember } from '../../../src/manager/lane-member.ts'
import { Lanes } from '../../../src/manager/lanes.ts'
import type { SessionInfoAnswer } from '../../../src/manager/session-info.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aCandidate } from '../domain/schedule-model.ts'

const APPLICATION = '123456789012345678'
const tokenOf = (secret: string, application = APPLICATION) =>
  `${Buffer.from(application).toString('base64')}.${secret}`
const REAL = tokenOf('real.token')
const MADE_UP = tokenOf('made.up')

const says = (url: string, more = {}): SessionInfoAnswer => ({
  ok: true,
  info: { url, shards: 4, limit: { total: 1_000, remaining: 900, resetAfter: 0, maxConcurrency: 16, ...more } },
})

let clock: VirtualClock
let lanes: Lanes
beforeEach(() => {
  clock = new VirtualClock()
  lanes = new Lanes({ clock, random: () => 1, logger: pino({ level: 'silent' }), leadingSince: -60_000 })
})

/** A ShardCluster with shards that wait, and what became of its grants. */
class Cluster {
  readonly started: { readonly grant: Grant; readonly signal: AbortSignal | undefined }[] = []
  readonly waiting = new Map<number, Candidate>()
  readonly name: string
  readonly member: LaneMember
  outcome: (grant: Grant, signal?: AbortSignal) => Promise<IdentifyOutcome> = async ({ slotAt }) => ({
    ...{ sentAt: slotAt, tooEarly: false },
  })

  constructor(name: string, token: string, answer: SessionInfoAnswer, windowMilliseconds = 5_000) {
    this.name = name
    this.member = lanes.join(this.applicant(token, answer))
    this.member.register({
      ...{ cluster: name, windowMilliseconds, onSessionInfo: () => {} },
      candidates: () => this.waiting.values(),
      start: async (grant, signal) => {
        this.waiting.delete(grant.candidate.shardId)
        this.started.push({ grant, signal })
        return this.outcome(grant, signal)
      },
    })
  }

  applicant(token: string, answer: SessionInfoAnswer) {
    const [namespace = ''] = this.name.split('/')
    return { cluster: this.name, namespace, token, sessionInfo: { ask: async () => answer } }
  }

  want(...shardIds: number[]): void {
    for (const shardId of shardIds) this.waiting.set(shardId, aCandidate(shardId, { cluster: this.name }))
    this.member.wake()
  }

  get slots(): number[] {
    return this.started.map(({ grant }) => grant.slotAt)
  }
}

describe('who shares a lane', () => {
  test('the same token, wherever; the same application id in one namespace; nobody else', () => {
    const victim = new Cluster('bot-1/victim', REAL, says('wss://gateway.discord.gg'))
    const second = new Cluster('bot-1/newer-token', tokenOf('newer.token'), says('wss://gateway.discord.gg'))
    const elsewhere = new Cluster('bot-2/same-bot', REAL, says('wss://gateway.discord.gg'))
    const liar = new Cluster('aaa-evil/bot', MADE_UP, says('ws://attacker'))
    expect(second.member.lane).toBe(victim.member.lane)
    expect(elsewhere.member.lane).toBe(victim.member.lane)
    expect(liar.member.lane).not.toBe(victim.member.lane)
  })

  test('a rotated token keeps the ShardClusters of a namespace together, and finds those elsewhere again', () => {
    const [a, b] = ['ns/a', 'ns/b'].map((name) => new Cluster(name, REAL, says('wss://g'))) as [Cluster, Cluster]
    const c = new Cluster('other/c', REAL, says('wss://g'))
    const rotated = tokenOf('rotated.token')
    expect(lanes.update(a.member, a.applicant(rotated, says('wss://g')))).toBe(true)
    expect(lanes.update(b.member, b.applicant(rotated, says('wss://g')))).toBe(true)
    expect(lanes.update(c.member, c.applicant(rotated, says('wss://g')))).toBe(true)
    expect(new Set([a, b, c].map(({ member }) => member.lane)).size).toBe(1)
  })

  test('a ShardCluster that takes the token of another bot leaves', () => {
    const cluster = new Cluster('ns/a', REAL, says('wss://g'))
    new Cluster('ns/b', REAL, says('wss://g'))
    const other = cluster.applicant(tokenOf('x.y', '876543210987654321'), says('wss://g'))
    expect(lanes.update(cluster.member, other)).toBe(false)
    const before = cluster.member.lane
    const member = lanes.join(other)
    expect(member.lane).not.toBe(before)
    lanes.leave(cluster.member)
    expect(lanes.join({ ...other, cluster: 'ns/c' }).lane).toBe(member.lane)
  })

  test('a manager that follows another keeps its place, and the clocks of the buckets with it', async () => {
    const cluster = new Cluster('ns/a', REAL, says('wss://g'))
    cluster.want(0)
    await clock.advance(100)
    const [first = 0] = cluster.slots
    const after = lanes.join(cluster.applicant(REAL, says('wss://g')))
    lanes.leave(cluster.member)
    expect(after).toBe(cluster.member)
    cluster.want(16)
    await clock.advance(10_000)
    expect((cluster.slots[1] ?? 0) - first).toBeGreaterThanOrEqual(5_000)
  })
})

describe('one that lies about a bot of another namespace', () => {
  const url = 'wss://gateway.discord.gg'

  test('is heard by nobody but itself: address, number of shards, limits', async () => {
    // First by name, as after a restart of the operator.
    const liar = new Cluster(
      'aaa-evil/bot',
      MADE_UP,
      says('ws://attacker', { remaining: 0, maxConcurrency: 1 }),
      60_000,
    )
    const victim = new Cluster('bot-1/victim', REAL, says(url))
    liar.want(...Array(1_000).keys())
    victim.want(0, 16, 32)
    await clock.advance(16_000)
    expect(victim.member.info).toMatchObject({ url, shards: 4 })
    expect(victim.member.maxConcurrency).toBe(16)
    expect(victim.member.budget).toMatchObject({ left: 897, total: 1_000 })
    expect(victim.slots).toHaveLength(3)
    expect(liar.slots).toEqual([])
  })
})

describe('inside a lane', () => {
  test('each has the address and the number of shards that its own proxy said, and the strictest limits', async () => {
    const a = new Cluster('ns-a/bot', REAL, says('wss://a', { remaining: 500, maxConcurrency: 16 }))
    const b = new Cluster('ns-b/bot', REAL, says('wss://b', { remaining: 700, maxConcurrency: 2 }))
    await clock.advance(1)
    expect([a.member.info?.url, b.member.info?.url]).toEqual(['wss://a', 'wss://b'])
    expect([a.member.maxConcurrency, b.member.maxConcurrency]).toEqual([2, 2])
    expect([a.member.budget?.left, b.member.budget?.left]).toEqual([500, 500])
    a.want(0)
    // What was under way with the other number of buckets passes first.
    await clock.advance(11_000)
    expect(a.slots).toHaveLength(1)
    expect(b.member.budget?.left).toBe(499)
  })

  test('whose proxy did not answer has nothing of what the others heard', async () => {
    new Cluster('ns-a/bot', REAL, says('wss://a'))
    const problem = { reason: 'RestProxyUnavailable', message: 'no' } as const
    const b = new Cluster('ns-b/bot', REAL, { ok: false, problem })
    await clock.advance(1)
    expect(b.member.info).toBeUndefined()
    expect(b.member.maxConcurrency).toBeUndefined()
    expect(b.member.problem).toEqual(problem)
  })

  test('nobody is slowed by what another asks for: a window of a minute, 10,000 shards', async () => {
    const a = new Cluster('ns-a/bot', REAL, says('wss://a', { maxConcurrency: 1 }), 60_000)
    const b = new Cluster('ns-b/bot', REAL, says('wss://b', { maxConcurrency: 1 }))
    a.want(...Array(10_000).keys())
    b.want(...Array(10).keys())
    await clock.advance(16 * 5_100)
    // Every second slot at the worst; a's own turns are a minute apart.
    expect(b.slots).toHaveLength(10)
    expect(a.slots).toHaveLength(2)
  })

  test('a permit whose IDENTIFY does not leave is taken back when another ShardCluster waits for the bucket', async () => {
    const a = new Cluster('ns-a/bot', REAL, says('wss://a', { maxConcurrency: 1 }))
    const b = new Cluster('ns-b/bot', REAL, says('wss://b', { maxConcurrency: 1 }))
    a.outcome = (_, signal) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => resolve({ sentAt: 'unknown', tooEarly: false }))
      })
    a.want(0)
    await clock.advance(1_000)
    await clock.advance(60_000)
    expect(a.started[0]?.signal?.aborted, 'nobody else waited').toBe(false)
    a.want(1, 2, 3)
    b.want(0, 1, 2, 3, 4, 5, 6, 7)
    await clock.advance(21_000)
    expect(a.started[0]?.signal?.aborted).toBe(true)
    expect(b.slots, 'two in a row: the other lost a turn').toHaveLength(5)
    expect(a.started).toHaveLength(1)
  })
})
