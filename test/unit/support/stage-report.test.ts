import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { REPORT_VARIABLE, type StageReport } from '../../support/stage-report.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const reporter = join(root, 'test', 'support', 'stage-report.ts')

const HEAD = "import { beforeAll, describe, it } from 'vitest'\n"
const FILES = {
  'green.test.ts': `${HEAD}it('is green', () => {}); it.skip('is left out', () => {}); it.todo('is to come')`,
  'red.test.ts': `${HEAD}describe('a suite', () => { it('is red', () => { throw new TypeError('one line\\nanother') }) })`,
  'broken.test.ts': "throw new Error('cannot be loaded')",
  'unset.test.ts': `${HEAD}describe('a suite', () => { beforeAll(() => { throw new Error('no set-up') }); it('waits', () => {}) })`,
  'late.test.ts': `${HEAD}it('is green, and leaves something behind', async () => {
    setTimeout(() => { throw new Error('late') }, 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
  })`,
}

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardcluster-report-'))
  mkdirSync(join(folder, 'test'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function run(files: Partial<typeof FILES>): StageReport {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'test', name), text)
  const file = join(folder, 'report.json')
  const args = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', `--reporter=${reporter}`]
  spawnSync(process.execPath, args, { cwd: folder, env: { ...process.env, [REPORT_VARIABLE]: file } })
  return JSON.parse(readFileSync(file, 'utf8')) as StageReport
}

it('counts what passed and what was left out', () => {
  expect(run({ 'green.test.ts': FILES['green.test.ts'] })).toEqual({ passed: 1, skipped: 2, failures: [] })
})

it('names everything that failed, an error that belongs to no test too', () => {
  const { passed, skipped, failures } = run(FILES)
  expect(failures).toHaveLength(4)
  expect(failures).toContain('test/broken.test.ts: Error: cannot be loaded')
  expect(failures).toContain('test/red.test.ts > a suite > is red: TypeError: one line')
  expect(failures).toContain('test/unset.test.ts > a suite: Error: no set-up')
  expect(failures).toContainEqual(
    expect.stringMatching(/^outside of any test: Error: late \(.*test\/late\.test\.ts:\d+:\d+\)$/),
  )
  expect({ passed, skipped }).toEqual({ passed: 2, skipped: 3 })
})
