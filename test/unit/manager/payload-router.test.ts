import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Delivery, deliver } from '../../../src/manager/payload-router.ts'
import type { WorkerPort } from '../../../src/manager/ports.ts'
import { ShardDirectory } from '../../../src/manager/shard-directory.ts'
import type { WorkerLink } from '../../../src/manager/worker-link.ts'
import { type FailureCode, failure } from '../../../src/protocol/failures.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord } from './a-link.ts'

const never = new AbortController().signal
const PRESENCE = { op: 3, d: { status: 'idle' } }

let clock: VirtualClock
let links: Map<number, WorkerLink>
let asked: { ordinal: number; shardIds: readonly number[] }[]
beforeEach(() => {
  clock = new VirtualClock()
  links = new Map()
  asked = []
})
afterEach(async () => {
  for (const link of links.values()) await link.stop()
})

/** Ten shards on two workers, by fives. */
const directory = () =>
  new ShardDirectory({ links, totalShards: () => 10, ownerOf: (shardId) => Math.floor(shardId / 5), clock })

function add(ordinal: number, records: Parameters<typeof aRecord>[], send?: WorkerPort['send']): WorkerLink {
  const all: WorkerPort['send'] = async ({ shardIds }) => {
    asked.push({ ordinal, shardIds })
    return { ok: true, value: { results: shardIds.map((shardId) => ({ shardId, sent: true, waitedMs: 1 })) } }
  }
  const shards = records.map((record) => aRecord(...record))
  const link = aLink(ordinal, clock, shards, { send: send ?? all })
  links.set(ordinal, link)
  return link
}

const sendOn = (...shardIds: number[]) => deliver(directory(), { shardIds, payload: PRESENCE, withinMs: 0 }, never)
const codes = (deliveries: readonly Delivery[]) =>
  deliveries.map((delivery) => [delivery.shardId, delivery.sent ? 'sent' : delivery.code])

describe('deliver', () => {
  it('asks each worker once for the shards that it holds, and answers in the order of the question', async () => {
    add(0, [[0], [1], [7]])
    add(1, [[5]])
    expect(codes(await sendOn(7, 5, 0))).toEqual([
      [7, 'sent'],
      [5, 'sent'],
      [0, 'sent'],
    ])
    expect(asked).toEqual([
      { ordinal: 0, shardIds: [7, 0] },
      { ordinal: 1, shardIds: [5] },
    ])
  })

  it('goes where the shard is connected while it moves, be that its old worker', async () => {
    add(0, [[7, { state: 'Connected' }]])
    add(1, [[7, { state: 'Resuming' }]])
    await sendOn(7)
    expect(asked.map(({ ordinal }) => ordinal)).toEqual([0])
  })

  it('says of a shard that nobody holds that it is on its way, and asks nobody', async () => {
    add(0, [[0]])
    add(1, [[5]])
    const [delivery] = await sendOn(6)
    expect(delivery).toMatchObject({ sent: false, code: 'UNASSIGNED', message: expect.stringContaining('shard 6') })
    expect(asked).toEqual([])
  })

  it('says of a worker that is not heard that it is away, and why', async () => {
    const link = add(0, [[0]])
    link.view.connected = false
    link.lastError = 'silent for 15 s'
    const [delivery] = await sendOn(0)
    const message = 'The worker bot-10-0 of shard 0 is not heard (silent for 15 s); nothing was sent.'
    expect(delivery).toMatchObject({ sent: false, code: 'WORKER_AWAY', message })
    expect(asked).toEqual([])
  })

  it('does not claim to know what a worker did that hung up, and hands on what others said', async () => {
    add(0, [[0], [1]], async () => ({ ok: false, failure: { code: 'UNKNOWN', message: 'the worker hung up' } }))
    add(1, [[5]])
    const deliveries = await sendOn(0, 5, 1)
    expect(codes(deliveries)).toEqual([
      [0, 'UNKNOWN'],
      [5, 'sent'],
      [1, 'UNKNOWN'],
    ])
    expect(deliveries[0]).toMatchObject({
      message: 'Whether it was sent on shard 0 is not known: the worker hung up.',
    })
  })

  it.each<FailureCode>(['DRAINING', 'UNKNOWN_TYPE'])('hands a refusal of the whole command on: %s', async (code) => {
    add(0, [[0]], async () => ({ ok: false, failure: failure(code, 'no.') }))
    expect(await sendOn(0)).toEqual([{ shardId: 0, sent: false, code, message: 'The worker bot-10-0: no.' }])
  })

  it('takes a failing thread for what it is: nobody knows', async () => {
    add(0, [[0]], async () => ({
      ok: true,
      value: { results: [{ shardId: 0, sent: false, code: 'INTERNAL', message: 'the thread ended' }] },
    }))
    expect(codes(await sendOn(0))).toEqual([[0, 'UNKNOWN']])
  })
})

describe('standings', () => {
  it('says when IDENTIFY was sent, however long ago that was told', async () => {
    add(0, [[0, { identifiedMsAgo: 500, rttMs: 41 }]])
    await clock.advance(2_000)
    expect(directory().standing(0)).toMatchObject({ identifiedAt: -500, latencyMs: 41, state: 'Connected' })
  })

  it('has one for each shard, also for those that nobody holds', () => {
    add(0, [[0]])
    expect(directory().standing(9)).toMatchObject({ shardId: 9, state: 'Unassigned', worker: undefined })
  })
})
