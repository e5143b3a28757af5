import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { drain, patienceOf } from '../../../sharder/drain.ts'
import { StateBoard } from '../../../sharder/state-board.ts'
import { StateReaders } from '../../../sharder/state-readers.ts'
import { sleep } from '../../../src/support/clock.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const logger = createLogger('test', 'silent')

function setUp({ patienceMs = 30_000, listening = false, takes = true, flushMs = 0 }) {
  const clock = new VirtualClock()
  const steps: [string, number][] = []
  const step = (name: string) => steps.push([name, clock.now()])
  const board = new StateBoard(clock, { workerId: 0, bootId: 'b', epoch: 0, draining: false })
  const readers = new StateReaders(board, clock)
  /** A reader, and all that it has got so far; it takes no more than its first record before `take` is called. */
  const listen = (takes = true) => {
    let text = ''
    let take = () => {}
    const reader = new Writable({
      write(part, _encoding, taken) {
        text += String(part)
        if (takes) taken()
        else take = taken
      },
    })
    void readers.serve(reader)
    const goOn = () => {
      takes = true
      take()
    }
    return { leave: () => reader.destroy(), heard: () => text, take: goOn }
  }
  const reader = listening ? listen(takes) : undefined
  const ended = drain({
    ...{ clock, logger, patienceMs, readers },
    drainWorker: async () => {
      step('drained')
      await sleep(clock, flushMs)
      board.drained([])
      return []
    },
    save: async () => void step('saved'),
    closeServer: async () => void step('server'),
    closeThreads: async () => void step('threads'),
  }).then(() => step('ended'))
  return { clock, steps, reader, listen, ended }
}

describe('a drain', () => {
  it('begins at once when somebody listens, and waits until the last word was read', async () => {
    const { clock, steps, reader } = setUp({ listening: true, takes: false })
    await clock.advance(100)
    expect(steps.map(([name]) => name)).toEqual(['drained', 'saved'])
    reader?.take()
    await clock.advance(100)
    expect(reader?.heard()).toMatch(/"DRAINED"/)
    expect(steps.map(([name]) => name)).toEqual(['drained', 'saved', 'server', 'threads', 'ended'])
  })

  it('waits two seconds for a reader that does not read, whatever its patience', async () => {
    const { clock, steps } = setUp({ patienceMs: 0, listening: true, takes: false })
    await clock.advance(2_100)
    expect(steps.at(-1)).toEqual(['ended', 2_000])
  })

  it('goes on serving while nobody listens, until somebody does', async () => {
    const { clock, steps, listen } = setUp({})
    await clock.advance(12_000)
    expect(steps).toEqual([])
    const { heard } = listen()
    await clock.advance(10)
    expect(steps[0]).toEqual(['drained', 12_000])
    expect(steps.at(-1)?.[0]).toBe('ended')
    expect(heard()).toMatch(/"DRAINED"/)
  })

  it('or until its patience is over', async () => {
    const { clock, steps } = setUp({})
    await clock.advance(29_999)
    expect(steps).toEqual([])
    await clock.advance(2)
    expect(steps[0]).toEqual(['drained', 30_000])
    expect(steps.at(-1)).toEqual(['ended', 30_000])
  })

  it('keeps its last word for who comes next, when who listened is gone by then', async () => {
    const { clock, steps, reader, listen } = setUp({ listening: true, flushMs: 5_000 })
    await clock.advance(1_000)
    reader?.leave()
    await clock.advance(19_000)
    expect(steps.at(-1)).toEqual(['saved', 5_000])
    const { heard } = listen()
    await clock.advance(10)
    expect(heard()).toMatch(/"DRAINED"/)
    expect(steps.at(-1)?.[0]).toBe('ended')
  })

  it('no longer than its patience allows', async () => {
    const { clock, steps, reader } = setUp({ listening: true, flushMs: 5_000 })
    reader?.leave()
    await clock.advance(40_000)
    expect(steps.at(-1)).toEqual(['ended', 30_000])
  })

  it('and not at all without patience', async () => {
    const { clock, steps } = setUp({ patienceMs: 0 })
    await clock.advance(1)
    expect(steps.at(-1)).toEqual(['ended', 0])
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
    const reader = new Writable({ write() {} })
    const served = readers.serve(reader)
    await clock.advance(0)
    expect([heard, readers.open.length]).toEqual([1, 1])
    await readers.any()
    reader.destroy()
    await served
    expect(readers.open).toEqual([])
  })
})
