import { beforeEach, expect, it } from 'vitest'
import { SessionShelf } from '../../../sharder/session-shelf.ts'
import { StateBoard } from '../../../sharder/state-board.ts'
import type { StoredState } from '../../../sharder/state-file.ts'
import { StateKeeper } from '../../../sharder/state-keeper.ts'
import type { Session } from '../../../src/protocol/session.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const session = (shardId: number, sequence = 5): Session => ({
  ...{ shardId, sessionId: `s${shardId}`, resumeGatewayUrl: 'wss://g', sequence, totalShards: 4, lastContactMsAgo: 0 },
})
const { shardId: _, lastContactMsAgo: __, ...live } = session(0)

let clock: VirtualClock
let board: StateBoard
let written: StoredState[]
let keeper: StateKeeper
let writing: () => Promise<void>
beforeEach(() => {
  clock = new VirtualClock()
  written = []
  writing = async () => {}
  board = new StateBoard(clock, { workerId: 0, bootId: 'b', epoch: 0, draining: false }, new SessionShelf(clock))
  keeper = new StateKeeper({
    ...{ clock, board, logger: createLogger('test', 'silent'), epoch: () => 9 },
    write: async (state) => {
      await writing()
      written.push(state)
    },
  })
})

const put = (shardId: number, sequence = 5) =>
  board.put({
    ...{ shardId, state: 'Connected', identifies: 1, resumes: 0, recovering: true },
    session: { ...live, sessionId: `s${shardId}`, sequence },
  })

it('writes what changed once a second, and what did not every five', async () => {
  await clock.advance(1_000)
  expect(written).toHaveLength(1)
  await clock.advance(4_000)
  expect(written).toHaveLength(1)
  await clock.advance(1_000)
  expect(written).toHaveLength(2)
  put(1)
  board.report(0, { checkpoint: Float64Array.of(1, 8, -1) })
  await clock.advance(1_000)
  expect(written.at(-1)).toEqual({ epoch: 9, held: [1], sessions: [session(1, 8)] })
})

it('keeps what is on the shelf, as old as it is', async () => {
  board.shelf.put(session(3))
  await clock.advance(1_000)
  expect(written[0]).toEqual({ epoch: 9, held: [], sessions: [{ ...session(3), lastContactMsAgo: 1_000 }] })
})

it('a save resolves when what was so at its call is written, however slow the one before', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  put(1)
  writing = () => promise
  const first = keeper.save()
  await clock.advance(0)
  board.remove(1)
  let saved = false
  const both = [keeper.save(), keeper.save()].map((save) => save.then(() => (saved = true)))
  await clock.advance(0)
  expect(saved).toBe(false)
  writing = async () => {}
  resolve()
  await Promise.all([first, ...both])
  expect(written.map(({ held }) => held)).toEqual([[1], []])
})

it('what could not be written is written with the next second; a save resolves all the same', async () => {
  put(1)
  writing = () => Promise.reject(new Error('ENOSPC'))
  await keeper.save()
  expect(written).toEqual([])
  writing = async () => {}
  await clock.advance(1_000)
  expect(written).toHaveLength(1)
})

it('a worker that has drained holds nothing: its last word says whose the sessions are', async () => {
  put(1)
  board.drained([session(1, 9)])
  await keeper.save()
  expect(written.at(-1)).toEqual({ epoch: 9, held: [], sessions: [session(1, 9)] })
})

it('ends with its timers', () => {
  keeper.close()
  expect(clock.pending).toBe(0)
})
