import { expect, test } from 'vitest'
import { agedSession } from '../../../src/domain/saved-session.ts'
import { aSession } from '../manager/a-link.ts'

const aged = (connected: boolean, ageMs: number, saveEveryMs: number, lastContactMsAgo = 0) =>
  agedSession({ ...aSession(1, { lastContactMsAgo }), connected }, ageMs, saveEveryMs).lastContactMsAgo

test('a session whose connection had ended when it was saved is as old as both together', () => {
  expect(aged(false, 40_000, 300_000, 5_000)).toBe(45_000)
  expect(aged(false, 0, 0)).toBe(0)
})

test('one that was connected may have been so until just before the next save, and is never younger than new', () => {
  expect(aged(true, 300_000, 300_000)).toBe(0)
  expect(aged(true, 340_000, 300_000)).toBe(40_000)
  expect(aged(true, 10_000, 300_000)).toBe(0)
})

test('without a pace it may have been so for half a minute: a pod goes on that long without its operator', () => {
  expect(aged(true, 30_000, 0)).toBe(0)
  expect(aged(true, 31_000, 0)).toBe(1_000)
  expect(aged(true, 31_000, 10_000)).toBe(1_000)
})

test('nothing else of it changes, and that it was connected is no longer said', () => {
  expect(agedSession({ ...aSession(3, { sequence: 9 }), connected: true }, 1, 0)).toEqual(aSession(3, { sequence: 9 }))
})
