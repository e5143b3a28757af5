import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, '..', '..', '..', 'scripts', 'ensure-installed.mjs')

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'installed-'))
  mkdirSync(join(root, 'scripts'))
  copyFileSync(SCRIPT, join(root, 'scripts', 'ensure-installed.mjs'))
  writeFileSync(join(root, 'package-lock.json'), '{}')
  const npm = `const { appendFileSync, mkdirSync } = require('node:fs')
appendFileSync('called', JSON.stringify(process.argv.slice(2)) + '\\n')
mkdirSync('node_modules', { recursive: true })
process.exit(Number(process.env.NPM_EXIT ?? 0))`
  writeFileSync(join(root, 'npm.cjs'), npm)
})
afterEach(() => rmSync(root, { recursive: true }))

function ensure(environment: Readonly<Record<string, string>> = {}): string[][] {
  const env = { PATH: process.env['PATH'], npm_execpath: join(root, 'npm.cjs'), ...environment }
  execFileSync(process.execPath, [join(root, 'scripts', 'ensure-installed.mjs')], { env, stdio: 'pipe' })
  return called()
}
const called = (): string[][] =>
  readFileSync(join(root, 'called'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('what every command does first', () => {
  test('installs what is locked, all of it, without running a script of any package', () => {
    const [args = []] = ensure({ NODE_ENV: 'production' })
    expect(args[0]).toBe('ci')
    expect(args).toEqual(expect.arrayContaining(['--ignore-scripts', '--include=dev', '--include=optional']))
  })

  test('does so once, and again when the lock file is another', () => {
    ensure()
    expect(ensure()).toHaveLength(1)
    writeFileSync(join(root, 'package-lock.json'), '{ }')
    expect(ensure()).toHaveLength(2)
  })

  test('does so again after it failed', () => {
    expect(() => ensure({ NPM_EXIT: '3' })).toThrow(/npm ci failed/)
    expect(ensure()).toHaveLength(2)
  })
})
