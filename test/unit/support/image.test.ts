import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const dockerfile = readFileSync(join(import.meta.dirname, '..', '..', '..', 'Dockerfile'), 'utf8')
const [, entrypoint = '[]'] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? []
const [program, ...flags]: string[] = JSON.parse(entrypoint)

/** Prints the URL of the debugger of a process that was sent SIGUSR1, once a debugger would be up. */
const SIGNALLED = `
  import inspector from 'node:inspector'
  process.kill(process.pid, 'SIGUSR1')
  let turns = 0
  const look = () => {
    if (inspector.url() || ++turns > 50) console.log(String(inspector.url()))
    else setTimeout(look, 10)
  }
  look()`

const debuggerOf = (nodeFlags: readonly string[]) =>
  execFileSync(process.execPath, [...nodeFlags, '--input-type=module', '--eval', SIGNALLED], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()

test('no signal opens a debugger in a process of the image', () => {
  expect(program).toBe('node')
  expect(flags.at(-1)).toBe('/app/src/cli/main.ts')
  expect(debuggerOf(flags.slice(0, -1))).toBe('undefined')
})
