import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLeftOver, type RunOwner, runOwner, runPrefix } from '../../../src/local/run-name.ts'

const owners: fc.Arbitrary<RunOwner> = fc.record({
  pid: fc.integer({ min: 1, max: 4_194_304 }),
  started: fc.option(fc.bigInt({ min: 0n, max: 10n ** 20n - 1n }).map(String), { nil: undefined }),
  machine: fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((n) => n.toString(16).padStart(8, '0')),
})

const OWNER: RunOwner = { pid: 4_711, started: '815', machine: '0a1b2c3d' }
const SELF = { uid: 1_000, machine: OWNER.machine }
const found = (change: object = {}) => ({
  name: `${runPrefix(OWNER)}aB3dE6`,
  ...{ isDirectory: true, uid: SELF.uid, mode: 0o40700 },
  ...change,
})
const nobody = () => undefined

describe('the name of a run directory', () => {
  test('says whose it is, from the moment on that there is one', () => {
    fc.assert(
      fc.property(owners, (owner) => {
        expect(runOwner(`${runPrefix(owner)}Zz09aA`)).toEqual(owner)
      }),
    )
  })

  test('is told from every other name', () => {
    const others = [
      'shardcluster-aB3dE6',
      'shardcluster-tests-aB3dE6',
      'shardcluster-run-4711-815-0a1b2c3d-',
      'shardcluster-run-0-815-0a1b2c3d-aB3dE6',
      'shardcluster-run--1-815-0a1b2c3d-aB3dE6',
      'shardcluster-run-4711-815-0a1b2c3d-aB3dE6.bak',
      'x-shardcluster-run-4711-815-0a1b2c3d-aB3dE6',
      'shardcluster-run-4711-815-0a1b2c3d-../..',
      'shardcluster-run-4711-815-0a1b2c3d-aB3dE6\n',
    ]
    for (const name of others) expect(runOwner(name), name).toBeUndefined()
  })
})

describe('a run directory is left over', () => {
  test('when its process is gone, or its process id was given to a later one', () => {
    expect(isLeftOver(found(), SELF, nobody)).toBe(true)
    expect(isLeftOver(found(), SELF, () => ({ started: '816' }))).toBe(true)
  })

  test('never while its process is there, whatever else is true', () => {
    fc.assert(
      fc.property(owners, fc.integer({ min: 0, max: 0o7777 }), fc.boolean(), (owner, mode, silent) => {
        const entry = found({ name: `${runPrefix(owner)}aaaaaa`, mode })
        const itself = { started: silent ? undefined : owner.started }
        expect(isLeftOver(entry, { ...SELF, machine: owner.machine }, () => itself)).toBe(false)
      }),
    )
  })

  test('not when it cannot be told for sure', () => {
    const unclear = {
      'a link, or a file': found({ isDirectory: false }),
      'of another user': found({ uid: 0 }),
      'readable by its group': found({ mode: 0o40750 }),
      'open to everybody': found({ mode: 0o40701 }),
      'another name': found({ name: 'shardcluster-aB3dE6' }),
      'of another machine or container': found({ name: `${runPrefix({ ...OWNER, machine: 'ffffffff' })}aB3dE6` }),
    }
    for (const [what, entry] of Object.entries(unclear)) expect(isLeftOver(entry, SELF, nobody), what).toBe(false)
  })

  test('not when the system does not say when a process was started, and there is one with that id', () => {
    const unknown = found({ name: `${runPrefix({ ...OWNER, started: undefined })}aB3dE6` })
    expect(isLeftOver(unknown, SELF, () => ({ started: '1' }))).toBe(false)
    expect(isLeftOver(found(), SELF, () => ({ started: undefined }))).toBe(false)
    expect(isLeftOver(unknown, SELF, nobody)).toBe(true)
  })
})
