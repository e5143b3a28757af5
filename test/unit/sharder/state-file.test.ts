import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readState, type StoredState, writeState } from '../../../sharder/state-file.ts'

const WRITTEN = new Date('2026-01-01T00:00:00Z')
const later = (ms: number) => new Date(WRITTEN.getTime() + ms)
const session = { sessionId: 's', resumeGatewayUrl: 'wss://g', sequence: 7, totalShards: 4 }
const state: StoredState = {
  epoch: 300_000_001,
  assignment: {
    ...{ totalShards: 4, first: 0, last: 3, withhold: [] },
    gateway: { url: 'wss://g', version: 10, intents: 1, compression: 'None' },
  },
  held: [0, 1],
  sessions: [{ shardId: 0, ...session, lastContactMsAgo: 100 }],
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'state-file-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

it('is read as it was written, its sessions older; by its user alone, and again until the next is written', async () => {
  await writeState(directory, state, WRITTEN)
  expect(await readdir(directory)).toEqual(['state.json'])
  expect((await stat(join(directory, 'state.json'))).mode & 0o777).toBe(0o600)
  for (const ms of [1_500, 2_500])
    expect(await readState(directory, later(ms))).toEqual({
      ...state,
      ageMs: ms,
      sessions: [{ shardId: 0, ...session, lastContactMsAgo: 100 + ms }],
    })
})

it('tells no more than the epoch under a wall clock that was set back', async () => {
  await writeState(directory, state, WRITTEN)
  const found = await readState(directory, later(-1))
  expect(found).toMatchObject({ epoch: state.epoch, held: [], sessions: [], ageMs: Number.POSITIVE_INFINITY })
})

it.each(['', '{"writtenAt":', '{"writtenAt":1}', '[]'])('is no state when it is unreadable: %j', async (text) => {
  await writeFile(join(directory, 'state.json'), text)
  expect(await readState(directory, WRITTEN)).toBeUndefined()
})

it('is no state when it is missing', async () => {
  expect(await readState(directory, WRITTEN)).toBeUndefined()
})

it('leaves nothing older behind when it cannot be written: that could say of a released shard that it is held', async () => {
  await writeState(directory, state, WRITTEN)
  // A folder of the temporary file's name is something that even root cannot write to.
  await mkdir(join(directory, `state.json.${process.pid}`))
  await expect(writeState(directory, { ...state, held: [] }, later(10))).rejects.toThrow('EISDIR')
  await expect(readFile(join(directory, 'state.json'))).rejects.toThrow('ENOENT')
})
