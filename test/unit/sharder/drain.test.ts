import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { drain, patienceOf } from '../../../sharder/drain.ts'
import { StateBoard } from '../../../sharder/state-board.ts'
import { StateReaders } from '../../../sharder/state-readers.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const logger = createLogger('test', 'silent')

function setUp(patienceMs: number, open: PassThrough[] = []) {
  const clock = new VirtualClock()
  const steps: [string, number][] = []
  const step = (name: string) => steps.push([name, clock.now()])
  const arrived = Promise.withResolvers<void>()
  const ended = drain({
    ...{ clock, logger, patienceMs },
    readers: { open, any: () => arrived.promise },
    drainWorker: async () => {
      step('drained')
      return []
    },
    save: async () => void step('saved'),
    closeServer: async () => void step('server'),
    closeThreads: async () => void step('threads'),
  }).then(() => step('ended'))
  return { clock, steps, arrived: arrived.resolve, ended }
}

describe('a drain', () => {
  it('begins at once when somebody listens, and waits until the last word was read', async () => {
    const reader = new PassThrough()
    const { clock, steps } = setUp(30_000, [reader])
    await clock.advance(100)
    expect(steps.map(([name]) => name)).toEqual(['drained', 'saved'])
    reader.resume().end()
    await clock.advance(100)
    expect(steps.map(([name]) => name)).toEqual(['drained', 'saved', 'server', 'threads', 'ended'])
  })

  it('waits two seconds for a reader that does not read', async () => {
    const { clock, steps } = setUp(0, [new PassThrough()])
    await clock.advance(2_100)
    expect(steps.at(-1)).toEqual(['ended', 2_000])
  })

  it('goes on serving while nobody listens, until somebody does', async () => {
    const { clock, steps, arrived } = setUp(30_000)
    await clock.advance(12_000)
    expect(steps).toEqual([])
    arrived()
    await clock.advance(1)
    expect(steps[0]).toEqual(['drained', 12_000])
  })

  it('or until its patience is over', async () => {
    const { clock, steps } = setUp(30_000)
    await clock.advance(40_000)
    expect(steps[0]).toEqual(['drained', 30_000])
  })

  it('has the patience that a pod’s grace leaves after the sinks and the rest', () => {
    expect([0, 30_000, 45_000, 60_000, 600_000].map(patienceOf)).toEqual([0, 0, 15_000, 30_000, 30_000])
  })
})

describe('readers', () => {
  it('are those whose streams are open; whoever waits for one is told', async () => {
    const clock = new VirtualClock()
    const board = new StateBoard(clock, { workerId: 0, bootId: 'b', epoch: 0, draining: false })
    const readers = new StateReaders(board, clock)
    let heard = 0
    void readers.any().then(() => heard++)
    await clock.advance(0)
    expect([heard, readers.open.length]).toEqual([0, 0])
    const stream = readers.add()
    await clock.advance(0)
    expect([heard, readers.open]).toEqual([1, [stream]])
    await readers.any()
    stream.destroy()
    await clock.advance(0)
    expect(readers.open).toEqual([])
  })
})
