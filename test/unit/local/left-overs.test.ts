import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { removeLeftOvers } from '../../../src/local/left-overs.ts'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import { runFolders } from '../../../src/local/run-folders.ts'
import { runOwner, runPrefix } from '../../../src/local/run-name.ts'
import { runningProcess, thisProcess } from '../../../src/local/running-process.ts'

let root: string
let secret: string
let large: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'left-overs-'))
  secret = join(root, 'runtime')
  large = join(root, 'tmp')
  for (const folder of [secret, large]) mkdirSync(folder, { mode: 0o700 })
  vi.stubEnv('TMPDIR', large)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const ME = thisProcess()
/** A process id that no process has: above what Linux gives out (2^22). */
const DEAD = { ...ME, pid: 2 ** 22 + 1 }

function runOf(owner: typeof ME, folder = large, mode = 0o700): string {
  const path = `${join(folder, runPrefix(owner))}abcdef`
  mkdirSync(join(path, 'secrets'), { recursive: true })
  writeFileSync(join(path, 'secrets', 'token'), 'secret')
  chmodSync(path, mode)
  return path
}
const clean = () => removeLeftOvers({ secret, large })

describe('what killed runs left behind', () => {
  test('is removed with all that is in it, from both folders; what runs keeps its own', () => {
    const dead = [runOf(DEAD, secret), runOf(DEAD)]
    // The same process id, another start: it was given anew.
    const reused = runOf({ ...ME, started: '1' })
    const alive = [runOf(ME, secret), runOf(ME)]
    expect(clean().sort()).toEqual([...dead, reused].sort())
    expect([...dead, reused].filter(existsSync)).toEqual([])
    expect(alive.map((path) => existsSync(join(path, 'secrets', 'token')))).toEqual([true, true])
  })

  test('a link with such a name is left alone, and what it leads to', () => {
    const precious = join(root, 'precious')
    mkdirSync(precious, { mode: 0o700 })
    writeFileSync(join(precious, 'file'), 'precious')
    symlinkSync(precious, `${join(large, runPrefix(DEAD))}abcdef`)
    expect(clean()).toEqual([])
    expect(readdirSync(precious)).toEqual(['file'])
  })

  test('a link inside goes, what it leads to stays', () => {
    const precious = join(root, 'precious')
    mkdirSync(precious)
    writeFileSync(join(precious, 'file'), 'precious')
    symlinkSync(precious, join(runOf(DEAD), 'secrets', 'link'))
    expect(clean()).toHaveLength(1)
    expect(readdirSync(precious)).toEqual(['file'])
  })

  test('nothing goes that others may read or write, or from a folder where others may put something in its place', () => {
    const open = runOf(DEAD, large, 0o755)
    expect(clean()).toEqual([])
    chmodSync(open, 0o700)
    chmodSync(large, 0o777)
    expect(clean()).toEqual([])
    expect(existsSync(open)).toBe(true)
    // What /tmp is: everybody may write, and nobody may rename what is another's.
    chmodSync(large, 0o1777)
    expect(clean()).toEqual([open])
  })

  test('nothing of another user goes', () => {
    const theirs = runOf(DEAD)
    // Only root can give a directory away; for anybody else the same: it is not theirs.
    if (process.getuid?.() === 0) chownSync(theirs, 65_534, 65_534)
    else vi.spyOn(process, 'getuid').mockReturnValue(65_534)
    expect(clean()).toEqual([])
    vi.restoreAllMocks()
    expect(existsSync(theirs)).toBe(true)
  })

  test('folders that cannot be read are no reason not to start', () => {
    expect(removeLeftOvers({ secret: join(root, 'none'), large: join(root, 'none') })).toEqual([])
  })
})

describe('a process', () => {
  test('is known by the time of its start until it ends', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    const exited = once(child, 'exit')
    const { pid = 0 } = child
    const started = runningProcess(pid)
    expect(started).toBeDefined()
    expect(runningProcess(pid)).toEqual(started)
    child.kill('SIGKILL')
    await exited
    expect(runningProcess(pid)).toBeUndefined()
    expect(runningProcess(process.pid)).toEqual({ started: ME.started })
  })
})

describe('a run directory', () => {
  const modeOf = (path: string) => statSync(path).mode & 0o777

  test('has its process in its name, and everything in it is for this user alone', () => {
    vi.stubEnv('XDG_RUNTIME_DIR', '')
    const directory = new RunDirectory()
    expect(runOwner(directory.path.slice(large.length + 1))).toEqual(ME)
    expect(modeOf(directory.path)).toBe(0o700)
    expect(modeOf(directory.secret('bot/token', 'x'))).toBe(0o600)
    expect(modeOf(join(directory.path, 'secrets', 'bot'))).toBe(0o700)
    expect(directory.log('bot-0.log')).toBe(join(directory.path, 'bot-0.log'))
    directory.remove()
    expect(readdirSync(large)).toEqual([])
  })

  test('is where it ends with the login, logs not: those grow', () => {
    vi.stubEnv('XDG_RUNTIME_DIR', secret)
    const directory = new RunDirectory()
    expect(directory.secret('token', 'x').startsWith(`${secret}/`)).toBe(true)
    expect(directory.log('bot-0.log').startsWith(`${large}/`)).toBe(true)
    directory.remove()
    expect([...readdirSync(secret), ...readdirSync(large)]).toEqual([])
  })

  test('is not where others may look, or where a link leads', () => {
    const link = join(root, 'link')
    symlinkSync(secret, link)
    expect(runFolders({ XDG_RUNTIME_DIR: secret })).toEqual({ secret, large })
    for (const other of [undefined, '', 'runtime', link, join(root, 'none')])
      expect(runFolders({ XDG_RUNTIME_DIR: other })).toEqual({ secret: large, large })
    chmodSync(secret, 0o750)
    expect(runFolders({ XDG_RUNTIME_DIR: secret })).toEqual({ secret: large, large })
  })
})
