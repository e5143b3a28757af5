import { afterEach, describe, expect, it } from 'vitest'
import { head, readHead } from '../../../../sharder/shard/payload-head.ts'
import { BufferedSink, type SinkCounts } from '../../../../sharder/sinks/buffered-sink.ts'
import { eventFilter } from '../../../../sharder/sinks/event-filter.ts'
import { EventNames } from '../../../../sharder/sinks/event-names.ts'
import { inShardOrder } from '../../../../sharder/sinks/in-shard-order.ts'
import { messageOf } from '../../../../sharder/sinks/message.ts'
import type { Publisher, PublishResult } from '../../../../sharder/sinks/publisher.ts'
import type { Feed } from '../../../../sharder/sinks/sink.ts'
import type { Slab } from '../../../../sharder/sinks/slab.ts'
import { Topic } from '../../../../sharder/sinks/topic.ts'
import { createLogger } from '../../../../src/support/logger.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const ACKNOWLEDGED: PublishResult = { kind: 'acknowledged' }

/** A publisher that sends each event to a function. */
class Scripted implements Publisher {
  readonly indexed = true
  send: (topic: string, body: string, id: string | undefined) => Promise<void> = async () => {}
  readonly names = new EventNames()
  readonly topic = new Topic('{type}.{shard}.{partition}')

  async publish(slab: Slab): Promise<PublishResult> {
    const failure = await inShardOrder(slab, 8, async (i) => {
      const { topic, id } = messageOf(slab, i, this)
      await this.send(topic, slab.event(i).toString(), id)
    })
    return failure ? { kind: 'failed', message: (failure.error as Error).message } : ACKNOWLEDGED
  }

  async close(): Promise<void> {}
}

let sink: BufferedSink
const clock = new VirtualClock()
const publisher = new Scripted()
const counted: string[] = []
const counts: SinkCounts = {
  request: (result) => counted.push(result),
  delivered: (events) => counted.push(`${events} delivered`),
}

function start(filter: Parameters<typeof eventFilter>[0] = {}): BufferedSink {
  counted.length = 0
  publisher.send = async () => {}
  const options = { name: 'bot', workerId: 2, clock, random: () => 0, logger: createLogger('test', 'silent') }
  sink = new BufferedSink({ ...options, counts, onChange: () => {} }, publisher, {
    wanted: eventFilter(filter),
    names: publisher.names,
    partitions: 16,
  })
  return sink
}

function add(feed: Feed, type: string, s: number, d: unknown = {}): void {
  const bytes = Buffer.from(JSON.stringify({ t: type, s, op: 0, d }))
  readHead(bytes, 0, bytes.length)
  feed.add(bytes, 0, bytes.length, head.seq)
}

async function flush(): Promise<void> {
  const flushed = sink.flush(1_000_000)
  let done = false
  void flushed.then(() => {
    done = true
  })
  for (let turn = 0; !done && turn < 1_000; turn++) {
    await clock.advance(50)
  }
  expect(await flushed).toBe(true)
}

afterEach(() => sink.close())

describe('filters', () => {
  it('let through what is included, or what is not excluded', async () => {
    for (const [filter, expected] of [
      [{ include: ['A', 'C'] }, ['A.1.1', 'C.1.1']],
      [{ exclude: ['A', 'C'] }, ['B.1.1']],
      [{}, ['A.1.1', 'B.1.1', 'C.1.1']],
    ] as const) {
      const topics: string[] = []
      const feed = start(filter).open(1, 0, 'session')
      publisher.send = async (topic) => void topics.push(topic)
      for (const [i, type] of ['A', 'B', 'C'].entries()) add(feed, type, i + 1)
      await flush()
      expect(topics).toEqual(expected)
      expect(feed.acknowledged).toBe(3)
    }
  })

  it('confirm what they leave out only with everything before it', async () => {
    const feed = start({ include: ['A'] }).open(1, 10, 'session')
    add(feed, 'B', 11)
    expect(feed.acknowledged).toBe(11)
    const { promise, resolve } = Promise.withResolvers<void>()
    publisher.send = () => promise
    add(feed, 'A', 12)
    add(feed, 'B', 13)
    await clock.advance(50)
    expect(feed.acknowledged).toBe(10)
    resolve()
    await flush()
    expect(feed.acknowledged).toBe(13)
  })
})

describe('events one by one', () => {
  it('are named by type, shard and partition of the guild, or of the shard', async () => {
    const sent: string[] = []
    const feed = start().open(21, 0, 'session')
    publisher.send = async (topic) => void sent.push(topic)
    const guild = String((38n << 22n) + 5n)
    add(feed, 'MESSAGE_CREATE', 1, { guild_id: guild })
    add(feed, 'GUILD_CREATE', 2, { guild_id: '0', id: guild })
    add(feed, 'MESSAGE_CREATE', 3, { message: { guild_id: guild } })
    await flush()
    expect(sent).toEqual(['MESSAGE_CREATE.21.6', 'GUILD_CREATE.21.6', 'MESSAGE_CREATE.21.5'])
  })

  it('have an id of session and sequence, that does not tell the session id; RESUMED has none', async () => {
    const ids: (string | undefined)[] = []
    publisher.send = async () => {}
    start()
    publisher.send = async (_topic, _body, id) => void ids.push(id)
    for (const session of ['one', 'one', 'two']) {
      add(sink.open(0, 0, session), 'A', 7)
      add(sink.open(0, 0, session), 'RESUMED', 8)
      await flush()
    }
    expect(ids[0]).toMatch(/^[\w-]{16}-7$/)
    expect(ids[0]).not.toContain('one')
    expect(ids[2]).toBe(ids[0])
    expect(ids[4]).not.toBe(ids[0])
    expect([ids[1], ids[3], ids[5]]).toEqual([undefined, undefined, undefined])
  })

  it('wait for those before them of their shard, and for no others; only what failed is sent again', async () => {
    const sent: string[] = []
    let refusals = 2
    start()
    publisher.send = async (topic, body) => {
      const { payload } = JSON.parse(body) as { payload: { s: number } }
      sent.push(`${topic.split('.')[1]}:${payload.s}`)
      if (topic.startsWith('BAD') && refusals-- > 0) throw new Error('no')
    }
    const lanes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    for (const shardId of lanes) {
      const feed = sink.open(shardId, 0, `session-${shardId}`)
      add(feed, 'A', 1)
      add(feed, shardId === 3 ? 'BAD' : 'A', 2)
      add(feed, 'A', 3)
    }
    await flush()
    const ofShard = (shardId: number) => sent.filter((each) => each.startsWith(`${shardId}:`))
    expect(ofShard(3)).toEqual(['3:1', '3:2', '3:2', '3:2', '3:3'])
    for (const shardId of lanes.filter((id) => id !== 3)) {
      expect(ofShard(shardId)).toEqual([`${shardId}:1`, `${shardId}:2`, `${shardId}:3`])
    }
    expect(counted.filter((each) => each === 'failed')).toHaveLength(2)
    expect(counted.filter((each) => each.endsWith('delivered')).map((each) => Number.parseInt(each, 10))).toSatisfy(
      (events: number[]) => events.reduce((sum, each) => sum + each, 0) === 30,
    )
  })

  it('are more than one slab can index, and all arrive', async () => {
    let sent = 0
    const feed = start().open(0, 0, 'session')
    publisher.send = async () => void sent++
    for (let s = 1; s <= 5_000; s++) add(feed, 'A', s)
    await flush()
    expect(sent).toBe(5_000)
    expect(feed.acknowledged).toBe(5_000)
  })
})
